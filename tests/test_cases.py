"""Inputs that people met, with their right values: `shared/cases`, one folder a case."""

from __future__ import annotations

import pytest
from ofakit.data import examples_from_dataset
from ofakit.data.json_files import read_jsonl
from ofakit.data.readers import READERS


@pytest.fixture(scope="module")
def cases(shared):
    """The folder of a case, by the beginning of its name."""
    folder = shared / "cases"
    if not folder.is_dir():
        pytest.skip(f"no cases at {folder}")
    return lambda number: next(folder.glob(f"{number}-*"))


SHARED_IDS = [
    ("0#happy", "red.jpg", "happy", ("what a lovely red circle",)),
    ("0#gloomy", "red.jpg", "gloomy", ("just another sad red circle",)),
    ("1#happy", "blue.jpg", "happy", ("what a lovely blue circle",)),
    ("1#gloomy", "blue.jpg", "gloomy", ("just another sad blue circle",)),
]


def test_10_rows_that_share_an_id_stay_apart_by_style_in_files(cases):
    folder = cases(10)
    reader = READERS.build({"type": "jsonl", "train": "train.jsonl", "id_column": "image_id"}, root=folder)
    found = [(e.id, e.image_path, e.style, e.references) for e in reader.read("train")]
    assert found == [(own, str(folder / image), *rest) for own, image, *rest in SHARED_IDS]


def test_10_rows_that_share_an_id_stay_apart_by_style_in_memory(cases):
    rows = read_jsonl(cases(10) / "train.jsonl", "rows")
    assert [(e.id, e.image, e.style, e.references) for e in examples_from_dataset(rows)] == SHARED_IDS
