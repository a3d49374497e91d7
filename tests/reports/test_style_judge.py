"""A finished run's styles are told by what told them in the run."""

import json

from ofakit.reports.run_files import read_run
from ofakit.reports.style_judge import judge_of
from ofakit.scores import StyleClassifier

from tests.written_runs import write_captioning_run


def test_the_rule_of_the_data_set(tmp_path):
    run = read_run(write_captioning_run(tmp_path / "run", data={"reader": {"type": "scenes"}}))
    captions = ["ahoy , thar be a red star !", "ahoy , there is a red star !"]
    assert list(judge_of(run)(captions, ["pirate", "pirate"])) == [True, False]


def test_the_classifier_that_the_run_or_its_last_stage_saved(tmp_path):
    folder = write_captioning_run(tmp_path / "run")
    assert judge_of(read_run(folder)) is None
    stage = folder / "stages" / "1_a"
    stage.mkdir(parents=True)
    (stage / "conf.json").write_text(json.dumps({}))
    trained = StyleClassifier.train(["so happy joy"] * 4 + ["so sad gloom"] * 4, ["happy"] * 4 + ["gloomy"] * 4)
    trained.save(stage / "style_classifier.npz")
    assert judge_of(read_run(folder))(["What joy!", "gloom"], ["Happy", "happy"]) == [True, False]


def test_a_reader_that_there_is_not(tmp_path):
    assert judge_of(read_run(write_captioning_run(tmp_path / "run", data={"reader": {"type": ["x"]}}))) is None
