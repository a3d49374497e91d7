"""Regions from arrays as others write them, and the names that pictures are sought by."""

from __future__ import annotations

import numpy as np
import pytest
from ofakit.data.regions import Regions, key_spellings
from ofakit.errors import UsageError

FEATURES = np.arange(6, dtype=np.float32).reshape(2, 3)


def test_boxes_in_pixels_become_fractions_within_the_picture():
    regions = Regions.of(FEATURES, np.array([[0, 0, 320, 240], [-5, 10, 900, 480]]), 640, 480)
    expected = [[0, 0, 0.5, 0.5], [0, 10 / 480, 1, 1]]
    np.testing.assert_allclose(regions.boxes, expected, atol=1e-7)
    assert regions.boxes.dtype == regions.features.dtype == np.float32


def test_fractions_stay_as_they_are_but_for_rounding():
    boxes = np.array([[0, 0.25, 0.5, 1.000001], [0.1, 0.2, 0.3, 0.4]])
    assert Regions.of(FEATURES, boxes).boxes.tolist() == boxes.clip(0, 1).astype(np.float32).tolist()


def test_a_grid_is_read_row_by_row_and_has_no_boxes():
    grid = np.arange(2 * 3 * 4, dtype=np.float16).reshape(2, 3, 4)
    regions = Regions.of(grid)
    assert regions.features.tolist() == grid.reshape(6, 4).tolist() and regions.boxes is None
    assert regions.placed().tolist() == [[0.0] * 4] * 6


def test_the_first_regions_keep_their_boxes():
    regions = Regions.of(FEATURES, np.eye(4)[:2]).first(1)
    assert len(regions) == 1 and regions.boxes.tolist() == [[1, 0, 0, 0]]
    assert len(regions.first(None)) == len(regions.first(9)) == 1


@pytest.mark.parametrize(
    ("features", "boxes", "size", "message"),
    [
        (np.zeros((0, 3)), None, (), "at least one region, found float64"),
        (np.zeros(3), None, (), "expected features"),
        (np.zeros((2, 3), np.int64), None, (), "floating-point numbers"),
        (np.full((2, 3), np.nan), None, (), "NaN or infinity"),
        (FEATURES, np.zeros((3, 4)), (), r"expected boxes \(2, 4\)"),
        (
            FEATURES,
            np.full((2, 4), 7.0),
            (),
            "as fractions of the image .* up to 7; boxes in pixels need img_w and img_h",
        ),
        (FEATURES, np.full((2, 4), np.inf), (), "as fractions"),
        (FEATURES, np.full((2, 4), np.nan), (), "as fractions|finite boxes"),
        (FEATURES, np.full((2, 4), np.nan), (5, 5), "finite boxes"),
        (FEATURES, np.zeros((2, 4)), (0, 5), "an image of at least one pixel"),
    ],
)
def test_other_arrays_are_refused(features, boxes, size, message):
    with pytest.raises(UsageError, match=message):
        Regions.of(features, boxes, *size)


@pytest.mark.parametrize(
    ("key", "spellings"),
    [
        ("/a/b.jpg", ["/a/b.jpg", "a/b.jpg", "b.jpg", "/a/b", "a/b", "b"]),
        ("a/b.jpg", ["a/b.jpg", "b.jpg", "a/b", "b"]),
        (r"a\b_007.jpg", [r"a\b_007.jpg", "a/b_007.jpg", "b_007.jpg", "a/b_007", "b_007", "7"]),
        ("42", ["42"]),
        ("train_00000.png", ["train_00000.png", "train_00000"]),
        ("bytes 0a1b", ["bytes 0a1b"]),
        ("", []),
    ],
)
def test_a_picture_is_sought_from_its_path_to_its_number(key, spellings):
    assert key_spellings(key) == spellings
