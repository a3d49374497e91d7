"""An evaluation is written as files; a task of one's own needs few methods, and gets its examples from the reader."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
import torch
from ofakit.config import parse_config
from ofakit.data import BadExamples, Example
from ofakit.errors import UsageError
from ofakit.tasks.base import Evaluation, Task


class Least(Task):
    """Has what a task must have."""

    name, usual_score = "least", "accuracy"

    def build_bundle(self, path=None):
        return SimpleNamespace(path=path)

    def training_examples(self, examples, objectives, bad):
        return list(examples)

    def preprocessor(self, bundle, mode):
        return dict

    def collator(self, bundle):
        return dict

    def evaluate(self, bundle, examples, loading):
        return Evaluation({}, [])


@pytest.fixture
def config(tmp_path):
    rows = [{"image": None, "text": text, "says": "so", "style": "calm"} for text in ("a dog", "a cat", "a sea")]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    def make(**data):
        reader = {"type": "jsonl", "train": "rows.jsonl", "val": "rows.jsonl"}
        return parse_config({"work_dir": str(tmp_path), "data": {"root": str(tmp_path), "reader": reader, **data}})

    return make


def test_an_evaluation_is_written_as_scores_rows_and_a_page(tmp_path):
    rows = [{"id": "1", "caption": "ein Löwe"}, {"id": "2", "caption": "line\u2028break"}]
    found = Evaluation({"cider": 0.5, "größe": 2}, rows, lambda title: f"<h1>{title}</h1>")
    found.write(tmp_path / "run" / "eval", "val")
    folder = tmp_path / "run" / "eval"
    assert sorted(path.name for path in folder.iterdir()) == ["val.html", "val.json", "val.predictions.jsonl"]
    assert json.loads((folder / "val.json").read_text(encoding="utf-8")) == found.scores
    lines = (folder / "val.predictions.jsonl").read_text(encoding="utf-8").removesuffix("\n").split("\n")
    assert [json.loads(line) for line in lines] == rows and "Löwe" in lines[0]
    assert (folder / "val.html").read_text() == "<h1>run: val</h1>"


def test_without_a_page_none_is_written(tmp_path):
    Evaluation({"accuracy": 1.0}, []).write(tmp_path / "eval", "test")
    assert sorted(path.name for path in (tmp_path / "eval").iterdir()) == ["test.json", "test.predictions.jsonl"]
    assert (tmp_path / "eval" / "test.predictions.jsonl").read_text() == ""


def test_the_scores_are_written_last(tmp_path):
    """Whoever waits for them finds the rest there."""

    def broken(title):
        raise RuntimeError("no page")

    with pytest.raises(RuntimeError, match="no page"):
        Evaluation({}, [], broken).write(tmp_path, "val")
    assert [path.name for path in tmp_path.iterdir()] == ["val.predictions.jsonl"]


def test_a_task_must_say_what_differs_between_tasks(config):
    with pytest.raises(TypeError, match="abstract.*build_bundle.*collator.*evaluate.*preprocessor.*training_examples"):
        Task(config())


def test_what_a_task_does_not_say(config):
    task, examples = Least(config()), [Example("1"), Example("2", text="")]
    bundle = task.build_bundle()
    task.adopt(bundle)
    assert vars(bundle) == {"path": None} and task.usual_objectives == ({"type": "cross_entropy"},)
    bad = BadExamples()
    assert task.evaluation_examples(examples, bad) == examples and not bad.counts
    assert task.image_size(bundle) is None
    batch = {"patch_images": torch.zeros(1, 3, 2, 2, dtype=torch.uint8), "index": torch.tensor([0])}
    assert task.move(bundle, batch, torch.device("cpu"))["patch_images"].unique().tolist() == [-1.0]


def test_the_reader_gives_the_splits_of_the_configuration(config):
    task = Least(config(train="train[:2]", test=None))
    found = task.read({})
    assert {name: len(examples) for name, examples in found.items()} == {"train": 2, "val": 3}
    assert found is task.examples and task.reader is not None


def test_data_sets_in_memory_take_the_place_of_the_readers(config):
    task = Least(config(test=None))
    found = task.read({"train": [{"text": "given", "image": None}], "val": None})
    assert [example.text for example in found["train"]] == ["given"] and len(found["val"]) == 3


def test_columns_of_data_sets_in_memory_are_those_of_the_reader():
    reader = {"type": "given", "column_map": {"text": "says"}}
    task = Least(parse_config({"data": {"reader": reader}}))
    assert task.read({"train": [{"says": "so", "text": "else", "image": None}]})["train"][0].text == "so"
    assert task.reader is None and set(task.examples) == {"train"}


def test_a_split_that_the_reader_lacks_is_refused(config):
    with pytest.raises(UsageError, match="tset"):
        Least(config(test="tset")).read({})
