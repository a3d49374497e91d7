"""A message says which `--set` or which file a key stands in."""

from __future__ import annotations

import json

import pytest
from ofakit.config.origin import Origin


@pytest.fixture
def files(tmp_path):
    """A file over its base, as they are read: the base last."""
    contents = {
        "child.json": {"train": {"max_epochs": 3}, "objectives": [{"type": "scst"}]},
        "base.json": {"train": {"max_epochs": 1, "optimizer": {"lr": 1}}, "objectives": [{"type": "x", "y": 1}]},
    }
    for name, content in contents.items():
        (tmp_path / name).write_text(json.dumps(content), encoding="utf-8")
    return [tmp_path / name for name in contents]


@pytest.mark.parametrize(
    ("location", "name"),
    [
        (("train", "max_epochs"), "child.json"),
        (("train", "optimizer", "lr"), "base.json"),
        (("train", "optimizer", "weight_decay"), "base.json"),
        (("train", "hooks"), "child.json"),
        (("objectives", 0, "y"), "child.json"),
        (("data",), "child.json"),
    ],
)
def test_the_file_that_was_read_last_counts_or_that_of_the_nearest_section(files, location, name):
    assert Origin(files).place_of(location) == f" in {files[0].with_name(name)}"


@pytest.mark.parametrize(
    ("location", "override"),
    [
        (("train", "max_epochs"), "train.max_epochs=9"),
        (("train", "optimizer", "lr"), 'train.optimizer={"lr": "x"}'),
        (("train", "max_steps"), None),
    ],
)
def test_an_override_counts_before_every_file(files, location, override):
    overrides = ["train.max_epochs=8", "train.max_epochs=9", 'train.optimizer={"lr": "x"}']
    expected = f" in {files[0]}" if override is None else f" (--set {override})"
    assert Origin(files, overrides).place_of(location) == expected


def test_a_key_that_only_begins_like_an_override_is_not_its_own(files):
    assert Origin(files, ["train.max=1"]).place_of(("train", "max_epochs")) == f" in {files[0]}"


def test_without_files_there_is_no_place():
    assert Origin().place_of(("train",)) == ""


def test_two_origins_are_equal_since_only_values_count(files):
    assert Origin(files, ["a=1"]) == Origin()
