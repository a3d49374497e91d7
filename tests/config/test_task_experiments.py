"""What an entry of `tasks` says is laid over the rest of the file."""

from __future__ import annotations

import pytest
from ofakit.config import parse_config
from ofakit.config.task_experiments import task_experiments
from ofakit.errors import UsageError

FILE = {
    "task": "multitask",
    "work_dir": "somewhere",
    "data": {"reader": {"type": "scenes", "images": 5}, "root": "DIR"},
    "preprocessor": {"max_tgt_length": 40},
    "tasks": [
        {"name": "caption", "task": "captioning", "objectives": [{"type": "mlm"}]},
        {
            "name": "vqa",
            "task": "vqa",
            "data": {"reader": {"type": "scene_vqa"}},
            "preprocessor": {"prompt": "vqa: {}"},
        },
    ],
}


def test_a_task_has_what_it_says_and_else_what_the_file_says():
    found = task_experiments(parse_config(FILE))
    assert list(found) == ["caption", "vqa"]
    caption, vqa = found.values()
    assert caption.task == "captioning" and vqa.task == "vqa" and not vqa.tasks
    assert (caption.data.reader.type, vqa.data.reader.type) == ("scenes", "scene_vqa")
    assert "images" not in vqa.data.reader.model_dump() and vqa.data.root == caption.data.root == "DIR"
    assert (caption.preprocessor.prompt, vqa.preprocessor.prompt) == (None, "vqa: {}")
    assert vqa.preprocessor.max_tgt_length == 40 and vqa.work_dir == "somewhere"
    assert [own.type for own in caption.objectives] == ["mlm"] and vqa.objectives is None


def test_a_written_configuration_says_the_same():
    again = parse_config(parse_config(FILE).model_dump(mode="json"))
    assert task_experiments(again)["vqa"].preprocessor == task_experiments(parse_config(FILE))["vqa"].preprocessor


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tasks": []}, "needs `tasks`"),
        ({"objectives": [{"type": "mlm"}]}, "has its own objectives"),
        ({"tasks": [FILE["tasks"][0]] * 2}, "two tasks are called 'caption'"),
        ({"tasks": [{**FILE["tasks"][0], "data": {"trian": "x"}}]}, "task 'caption': unknown key 'data.trian'"),
    ],
)
def test_faults_are_named(changes, message):
    with pytest.raises(UsageError, match=message):
        task_experiments(parse_config({**FILE, **changes}))


def test_names_are_words():
    with pytest.raises(UsageError, match=r"tasks\.0\.name"):
        parse_config({**FILE, "tasks": [{"name": "a/b", "task": "vqa"}]})
