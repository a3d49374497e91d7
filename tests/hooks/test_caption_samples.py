"""The same few images after each evaluation, small, with a line a style."""

from __future__ import annotations

import json

import pytest
from ofakit.hooks.caption_samples import caption_samples

from tests.logged_trainer import a_trainer, evaluated


def test_images_are_small_and_have_a_line_a_style_and_those_that_cannot_be_read_are_left_out(tmp_path):
    evaluated(a_trainer(tmp_path), tmp_path)
    red, blue = caption_samples(tmp_path / "eval" / "val.predictions.jsonl", 8)
    assert red.text == "[pirate] a red thing\na red thing" and "blue" in blue.text
    assert red.image.size == (224, 112) and red.image.getpixel((5, 5)) == (255, 0, 0)


@pytest.mark.parametrize(("most", "shown"), [(0, 0), (1, 1), (2, 2)])
def test_no_more_images_than_asked_for(tmp_path, most, shown):
    evaluated(a_trainer(tmp_path), tmp_path)
    assert len(caption_samples(tmp_path / "eval" / "val.predictions.jsonl", most)) == shown


def test_a_task_without_captions_has_none(tmp_path):
    (tmp_path / "rows.jsonl").write_text(json.dumps({"image": "a.png", "found": [["p1", 0.5]]}) + "\n")
    assert caption_samples(tmp_path / "rows.jsonl", 8) == []
