"""Examples that say which of several tasks they are of, and what becomes of them."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from ofakit.data import Example
from ofakit.tasks._task_examples import CollateTasks, PreprocessTasks, TaskExample


def preprocess(data, rng, pixels):
    return {"id": data.id, "drawn": int(rng.integers(100)), "seen": pixels}


def collate(samples):
    return {"ids": [sample["id"] for sample in samples], "keys": sorted(samples[0])}


def test_all_but_the_part_is_the_examples_own():
    example = TaskExample("vqa", Example("7", "dog.jpg", "a dog", group="animals"))
    assert (example.part, example.id, example.text, example.group) == ("vqa", "7", "a dog", "animals")
    assert example.image_paths == ("dog.jpg",)
    with pytest.raises(AttributeError):
        example.question  # noqa: B018
    assert pickle.loads(pickle.dumps(example)) == copy.deepcopy(example) == example


def test_samples_are_made_and_joined_by_their_task():
    make = PreprocessTasks({"a": preprocess, "b": lambda data, rng, pixels: {"other": data.id}})
    sample = make(TaskExample("a", Example("1")), np.random.default_rng(0), None)
    assert sample["id"] == "1" and sample["task"] == "a"
    assert make(TaskExample("b", Example("2"))) == {"other": "2", "task": "b"}
    batch = CollateTasks({"a": collate})([sample, sample])
    assert batch == {"ids": ["1", "1"], "keys": ["drawn", "id", "seen"], "task": "a"}
