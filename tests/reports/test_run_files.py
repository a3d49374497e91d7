"""Run directories are read as they are: whole, half written, moved, or none at all."""

import json
import shutil

import pytest
from ofakit.errors import UsageError
from ofakit.reports.run_files import located, read_run

from tests.written_runs import write_captioning_run, write_ranking_run


def test_a_run(tmp_path):
    run = read_run(write_captioning_run(tmp_path / "run"))
    assert (run.name, len(run.records), run.damaged, list(run.splits)) == ("run", 3, 0, ["test"])
    assert run.split().scores["cider"] == 1.25 and len(run.split().rows) == 8


def test_rankings_by_system(tmp_path):
    run = read_run(write_ranking_run(tmp_path / "run"))
    assert sorted(run.splits["test"].rankings) == ["bm25", "dense"]


def test_damaged_lines_of_a_killed_run_are_counted(tmp_path):
    folder = write_captioning_run(tmp_path / "run")
    with (folder / "metrics.jsonl").open("ab") as file:
        file.write(b'[1]\n{"step": "x"}\n\xff\xfe\n{"step": 4, "lo')
    run = read_run(folder)
    assert (len(run.records), run.damaged) == (3, 4)


@pytest.mark.parametrize("text", ["{", "[1]", '{"a": 1}\nnull'])
def test_a_damaged_file_of_predictions_is_named(tmp_path, text):
    folder = write_captioning_run(tmp_path / "run")
    (folder / "eval" / "test.predictions.jsonl").write_text(text)
    with pytest.raises(UsageError, match=r"test\.predictions\.jsonl:\d: expected a JSON object"):
        read_run(folder)


@pytest.mark.parametrize("folder", ["", "gone"])
def test_what_is_no_run_is_refused(tmp_path, folder):
    with pytest.raises(UsageError, match="expected a run directory"):
        read_run(tmp_path / folder)


def test_the_split_that_is_shown(tmp_path):
    folder = write_captioning_run(tmp_path / "run", evaluation={"final_split": "val"})
    assert read_run(folder).split().name == "test"
    shutil.copy(folder / "eval" / "test.json", folder / "eval" / "val.json")
    assert read_run(folder).split().name == "val"
    with pytest.raises(UsageError, match="no evaluation of 'tset': did you mean 'test'"):
        read_run(folder).split("tset")


def test_images_of_a_run_that_was_moved_are_found(tmp_path):
    folder = write_captioning_run(tmp_path / "run")
    before = str(folder / "red.png")
    run = read_run(shutil.move(folder, tmp_path / "moved"))
    assert located(before, run) == str(tmp_path / "moved" / "red.png")
    assert located("elsewhere.png", run) == "elsewhere.png"
    assert located(None, run) is None and located(3, run) is None


def test_stages_in_their_order(tmp_path):
    folder = write_captioning_run(tmp_path / "run")
    for name in ("10_c", "2_b", "1_a"):
        (folder / "stages" / name).mkdir(parents=True)
        (folder / "stages" / name / "conf.json").write_text(json.dumps({}))
    assert [stage.name for stage in read_run(folder).stages] == ["1_a", "2_b", "10_c"]
