"""Texts about parts of an image: what files say, and which region of those that a model reads is meant."""

from __future__ import annotations

import numpy as np
import pytest
from ofakit.data.region_texts import RegionText, place_of, region_texts_in
from ofakit.errors import UsageError


def test_boxes_in_pixels_and_fractions_are_the_same():
    pixels = [{"text": " a ball ", "box": [40, 60, 120, 140]}]
    fractions = [{"text": "a ball", "box": [0.0625, 0.125, 0.1875, 140 / 480]}]
    assert region_texts_in(pixels, "f", 640, 480) == region_texts_in(fractions, "f")
    genome = [{"phrase": "a ball", "x": 40, "y": 60, "width": 80, "height": 80}]
    assert region_texts_in(genome, "f", 640, 480) == region_texts_in(pixels, "f", 640, 480)


def test_what_says_nothing_is_left_out_and_a_pixel_over_the_edge_is_cut():
    cell = [{"text": " ", "box": [0, 0, 1, 1]}, {"text": "sky", "box": [-1, 0, 641, 100]}, {"text": "dog", "region": 3}]
    found = region_texts_in(cell, "f", 640, 480)
    assert found == (RegionText("sky", (0.0, 0.0, 1.0, 100 / 480)), RegionText("dog", region=3))
    assert region_texts_in(None, "f") == ()


@pytest.mark.parametrize(
    ("cell", "size", "message"),
    [
        ("text", (None, None), "expected a list of objects"),
        ([{"box": [0, 0, 1, 1]}], (None, None), "expected a text about a region"),
        ([{"text": "a", "box": [0, 0, 1]}], (None, None), "expected a box of four numbers"),
        ([{"text": "a", "box": [0, 0, 1, float("nan")]}], (None, None), "expected a box of four numbers"),
        ([{"text": "a"}], (None, None), "expected a box of four numbers .* found None"),
        ([{"text": "a", "box": [40, 60, 120, 140]}], (None, None), "give width and height"),
        ([{"text": "a", "box": [0.5, 0, 0.5, 1]}], (None, None), "x1 < x2"),
        ([{"text": "a", "box": [0, 0, 700, 10]}], (640, 480), "inside the image"),
        ([{"text": "a", "box": [0, 0, 7, 10]}], (640, None), "expected width and height"),
        ([{"text": "a", "region": -1}], (None, None), "the place of a region"),
    ],
)
def test_what_is_wrong_is_said(cell, size, message):
    with pytest.raises(UsageError, match=message):
        region_texts_in(cell, "train.jsonl", *size)


def test_the_region_with_the_largest_overlap_is_meant():
    boxes = np.array([[0, 0, 1, 1], [0, 0, 0.5, 0.5], [0.5, 0.5, 1, 1]])
    assert place_of(RegionText("a", (0.0, 0.0, 0.45, 0.5)), boxes) == 1
    assert place_of(RegionText("a", (0.0, 0.0, 1.0, 0.9)), boxes) == 0
    assert place_of(RegionText("a", (0.3, 0.3, 0.6, 0.6)), boxes) is None
    assert place_of(RegionText("a", (0.3, 0.3, 0.6, 0.6)), boxes, least=0.05) is not None
    assert place_of(RegionText("a", region=2), boxes) == 2 and place_of(RegionText("a", region=3), boxes) is None


def test_of_a_grid_it_is_the_cell_of_the_middle():
    grid = np.zeros((16, 4))
    boxes = [(0, 0, 0.1, 0.1), (0.4, 0, 0.58, 0.2), (0.9, 0.9, 1, 1)]
    assert [place_of(RegionText("a", box), grid) for box in boxes] == [0, 1, 15]
    with pytest.raises(UsageError, match="no square grid"):
        place_of(RegionText("a", (0, 0, 1, 1)), np.zeros((15, 4)))
