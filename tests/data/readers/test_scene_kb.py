"""The generated base is the same for the same settings, and only image and words together tell the passage."""

from __future__ import annotations

import json

import numpy as np
import pytest
from ofakit.data import READERS
from ofakit.data.knowledge_base import KnowledgeBase
from ofakit.data.scene_entities import TOPICS
from ofakit.errors import UsageError
from ofakit.files import SaveError
from PIL import Image

SMALL = {"type": "scene_kb", "train": 6, "val": 2, "test": 3, "size": 32}


def reader(root, **changes):
    return READERS.build({**SMALL, **changes}, root=root)


def test_questions_passages_and_images(tmp_path):
    base = reader(tmp_path)
    passages = KnowledgeBase(base.passages())
    assert base.splits() == ["train", "val", "test"]
    assert {split: len(base.read(split)) for split in base.splits()} == {"train": 36, "val": 12, "test": 18}
    assert len(passages) == 11 * len(TOPICS) and len(passages.articles) == 11
    for query in base.read("train+val+test"):
        (relevant,) = query.relevant_ids
        passage = passages[passages.position(relevant)]
        assert query.answers[0] in passage.text and passage.title not in query.text
        assert passage.image != query.image
        assert Image.open(query.image).size == Image.open(passage.image).size == (32, 32)


def test_its_files_are_generated_before_they_are_named(tmp_path):
    files = reader(tmp_path).passage_files()
    assert files and all(file.is_file() and file.is_relative_to(tmp_path) for file in files)


def test_splits_ask_about_other_entities(tmp_path):
    base = reader(tmp_path)
    asked = {split: {next(iter(q.relevant)).partition("-")[0] for q in base.read(split)} for split in base.splits()}
    assert [len(some) for some in asked.values()] == [6, 2, 3]
    assert len(set().union(*asked.values())) == 11


def test_settings_make_the_folder_and_what_it_holds(tmp_path):
    first, again, other = reader(tmp_path / "a"), reader(tmp_path / "b"), reader(tmp_path / "a", seed=8)
    assert first.folder.name == again.folder.name != other.folder.name
    for one, two in zip(first.read("test"), again.read("test"), strict=True):
        assert (one.text, one.relevant, one.answers) == (two.text, two.relevant, two.answers)
        np.testing.assert_array_equal(np.asarray(Image.open(one.image)), np.asarray(Image.open(two.image)))
    texts = [[passage.text for passage in base.passages()] for base in (first, again, other)]
    assert texts[0] == texts[1] != texts[2]
    assert json.loads((first.folder / "scene_kb.json").read_text()) == first.settings


def test_drawings_of_an_entity_differ(tmp_path):
    base = reader(tmp_path, variants=2)
    drawings = {query.image for query in base.read("val")}
    assert len(drawings) == 2 * 2
    assert len({Image.open(image).tobytes() for image in drawings}) == len(drawings)


@pytest.mark.parametrize("change", [{"train": 0}, {"size": 4}, {"variants": 0}, {"train": 1000}])
def test_numbers_out_of_range(tmp_path, change):
    with pytest.raises(UsageError, match="expected train, val, test and variants >= 1, at most 435"):
        reader(tmp_path, **change)


def test_an_unwritable_root_is_named(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises((SaveError, OSError)):
        reader(tmp_path / "file").read("train")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file"]
