"""Questions about drawn scenes: trained, answered in both ways, kept and evaluated again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ofakit.cli.evaluate import main as evaluate
from ofakit.config import parse_config
from ofakit.data import Example
from ofakit.errors import UsageError
from ofakit.hub import AnswerBundle, load_bundle
from ofakit.inference import Answerer
from ofakit.tasks import TASKS
from ofakit.tasks.vqa import Vqa
from ofakit.trainers import Trainer

from tests.trainers.conftest import SMALL, merged

READER = {"type": "scene_vqa", "images": 6, "val": 3, "test": 4, "size": 32}


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    return str(tmp_path_factory.mktemp("scene_vqa"))


@pytest.fixture
def config(tmp_path, scenes):
    def make(name="run", **changes):
        values = json.loads(json.dumps(SMALL))
        values["task"], values["data"] = "vqa", {"reader": {**READER, "root": scenes}}
        values["train"]["hooks"] = [{"type": "EvaluationHook", "interval": 1}, {"type": "BestSnapshotHook"}]
        return parse_config({"work_dir": str(tmp_path / name), **merged(values, changes)})

    return make


def test_the_task_has_two_names():
    assert TASKS.get("vqa") is TASKS.get("visual-question-answering") is Vqa


@pytest.mark.parametrize("vqa", [{}, {"inference": "rank", "answers": 9}])
def test_a_run_is_trained_kept_and_evaluated_by_the_tool(config, vqa, tmp_path, capsys):
    run = config(vqa=vqa)
    trainer = Trainer(experiment=run, device="cpu")
    trainer.train()
    best = load_bundle(Path(run.work_dir) / "best")
    assert isinstance(best, AnswerBundle) and best.vqa == run.vqa and best.objectives == ("soft_answer",)
    assert len(best.candidates) == (9 if vqa else 0)
    scores = json.loads((Path(run.work_dir) / "eval" / "val.json").read_text())
    assert scores["questions"] == 9 and {"vqa_accuracy", "exact_match", "f1"} <= set(scores)
    assert "language_prior/vqa_accuracy" in scores
    (tmp_path / "conf.json").write_text(json.dumps(run.model_dump(mode="json", exclude_unset=True)))
    assert evaluate(["--conf", str(tmp_path / "conf.json"), "--split", "test"]) == 0
    found = json.loads(capsys.readouterr().out.strip().splitlines()[-1])
    assert found["questions"] == 12 and 0 <= found["vqa_accuracy"] <= 1
    lines = (Path(run.work_dir) / "eval" / "test.predictions.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    assert len(rows) == 12 and {"id", "image", "question", "answer", "answers", "vqa_accuracy"} <= set(rows[0])
    assert sum(row["vqa_accuracy"] for row in rows) / 12 == pytest.approx(found["vqa_accuracy"])
    if vqa:
        assert {row["answer"] for row in rows} <= set(best.candidates)


def test_a_few_questions_are_learned_by_heart(config):
    keys = {"max_epochs": 60, "gradient_accumulation": 1, "hooks": [{"type": "MetricsFileHook", "interval": 99}]}
    keys |= {"optimizer": {"lr": 1e-2}, "lr_scheduler": {"name": "const", "warmup_proportion": 0}}
    run = config(
        data={"train": "train[:4]", "val": "train[:4]", "test": None}, preprocessor={"max_image_size": None},
        train=keys, model={"config": {"dropout": 0.0}},
    )  # fmt: skip
    trainer = Trainer(experiment=run, device="cpu")
    trainer.train()
    assert trainer.evaluate(split="val")["vqa_accuracy"] > 0.9


def test_a_model_of_captions_goes_on_to_answer(config, experiment, tmp_path):
    captions = Trainer(experiment=experiment(train={"max_steps": 1}), device="cpu")
    captions.train()
    run = config(model={"path": str(Path(captions.work_dir) / "output")})
    bundle = Vqa(run)
    bundle.read({})
    found = bundle.build_bundle()
    assert isinstance(found, AnswerBundle) and found.preprocessor.prompt is None
    assert found.tokenizer.first_difference(captions.bundle.tokenizer) is None


@pytest.mark.parametrize(
    ("answers", "expected"),
    [(["red", " red", "blue "], ("red", "blue")), (2, None), (None, None), ("FILE", ("yes", "no"))],
)
def test_the_closed_list(config, tmp_path, answers, expected):
    (tmp_path / "answers.txt").write_text("yes\nno\n\n")
    answers = str(tmp_path / "answers.txt") if answers == "FILE" else answers
    task = Vqa(config(vqa={"inference": "rank", "answers": answers}))
    task.read({})
    found = task.build_bundle().candidates
    counts: dict[str, float] = {}
    for question in task.examples["train"]:
        for answer, score in question.scores:
            counts[answer] = counts.get(answer, 0) + score
    if expected is None:
        assert len(found) == (len(counts) if answers is None else answers)
        assert list(found) == sorted(found, key=lambda answer: (-counts[answer], answer))
        assert min(counts[answer] for answer in found) >= max([0, *(counts[a] for a in counts if a not in found)])
    else:
        assert found == expected


def test_what_cannot_be_answered_is_refused(config, tmp_path):
    with pytest.raises(UsageError, match="no questions to answer; use a reader of questions, such as vqa"):
        Vqa(config()).read({"train": [Example("1", None, "a dog")]})
    task = Vqa(config(vqa={"inference": "rank", "answers": str(tmp_path / "none.txt")}))
    task.read({})
    with pytest.raises(UsageError, match="expected a text file with one answer per line"):
        task.build_bundle()
    task = Vqa(config())
    task.read({})
    bundle = task.build_bundle()
    bundle.vqa.inference = "rank"
    with pytest.raises(UsageError, match="vqa.inference rank needs a closed list of answers"):
        Answerer(bundle)


def test_a_dry_run_shows_a_question_with_its_answer(config):
    trainer = Trainer(experiment=config(), device="cpu")
    example = trainer.examples["train"][0]
    shown = trainer.task.shown(trainer.bundle, example, trainer.loading.preprocessors["train"](example))
    assert shown["question"].strip() == example.question and shown["answer"].strip() in dict(example.scores)
