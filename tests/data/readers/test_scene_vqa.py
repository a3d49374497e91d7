"""Generated questions: the same for a seed, of other scenes in each split, and readable as any other file."""

from __future__ import annotations

import json

import numpy as np
import pytest
from ofakit.data import READERS
from ofakit.errors import UsageError
from PIL import Image

SMALL = {"type": "scene_vqa", "images": 12, "val": 4, "test": 6, "size": 32}


def reader(root, **keys):
    return READERS.build({**SMALL, **keys}, root=root)


def test_it_is_generated_once_and_read(tmp_path):
    source = reader(tmp_path)
    questions = source.read("train")
    assert len(questions) == 36 and len(source.read("test")) == 18
    first = questions[0]
    assert np.asarray(Image.open(first.image)).shape == (32, 32, 3) and len(first.annotated) == 10
    assert {question.group for question in questions} <= {"color", "count", "shape", "size", "place", "yes or no"}
    folder = source.folder
    before = (folder / "train.jsonl").stat().st_mtime_ns
    assert reader(tmp_path).read("train") == questions and (folder / "train.jsonl").stat().st_mtime_ns == before
    assert reader(tmp_path, seed=8).folder != folder
    plain = READERS.build({"type": "vqa", "train": "train.jsonl", "images": "images"}, root=folder)
    assert plain.read("train") == questions


def test_no_scene_is_in_two_splits(tmp_path):
    source = reader(tmp_path)
    source.generate()
    scenes = [{json.dumps(row["scene"]) for row in source.rows(split)} for split in ("train", "val", "test")]
    assert not scenes[0] & scenes[1] and not scenes[0] & scenes[2] and not scenes[1] & scenes[2]


@pytest.mark.parametrize("keys", [{"images": 0}, {"size": 8}, {"pairs": 2}, {"questions": 0}, {"questions": 9}])
def test_other_numbers_are_refused(tmp_path, keys):
    with pytest.raises(UsageError, match="expected images, val and test >= 1"):
        reader(tmp_path, **keys)
