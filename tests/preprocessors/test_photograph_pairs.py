"""Both sides of a pair show the same emblem in the same colours."""

import numpy as np
import pytest
from ofakit.errors import UsageError
from ofakit.preprocessors.composite import Composite
from ofakit.preprocessors.photograph_pairs import PhotographPairs
from PIL import Image

STILL = Composite(
    width=(1, 1), aspect=(1, 1), max_degrees=0, max_slope=0, wave=(0, 0), max_shade=0, max_rim=0, overhang=0,
    saturation=(1, 1), contrast=(1, 1), brightness=(1, 1),
)  # fmt: skip
BACKGROUND = np.full((60, 70, 3), 255, np.uint8)


def emblem_image():
    pixels = np.zeros((90, 120, 3), np.uint8)
    pixels[:, :60] = (200, 16, 46)
    pixels[45:, 60:] = (1, 33, 105)
    return Image.fromarray(pixels)


def corners(pixels):
    height, width = pixels.shape[:2]
    return [pixels[y, x].tolist() for y in (height // 4, -height // 4) for x in (width // 4, -width // 4)]


@pytest.mark.parametrize("recolor", [0.0, 1.0])
def test_both_sides_agree(recolor):
    pairs = PhotographPairs(48, 24, recolor=recolor, composite=STILL)
    emblem, rng = pairs.prepare(emblem_image()), np.random.default_rng(0)
    seen = set()
    for _ in range(12):
        photograph, reference, recolored = pairs(emblem, BACKGROUND, rng)
        assert photograph.shape == (48, 48, 3) and reference.shape == (24, 24, 3) and recolored == bool(recolor)
        assert photograph.dtype == reference.dtype == np.uint8
        np.testing.assert_allclose(corners(photograph), corners(reference), atol=1)
        seen.add(str(corners(reference)))
    assert len(seen) == (12 if recolor else 1)


def test_pairs_follow_from_their_seed():
    pairs = PhotographPairs(48)
    emblem = pairs.prepare(emblem_image())
    for first, again in zip(
        pairs(emblem, BACKGROUND, np.random.default_rng(5)), pairs(emblem, BACKGROUND, np.random.default_rng(5)),
        strict=True,
    ):  # fmt: skip
        np.testing.assert_array_equal(first, again)


def test_mirrored_emblems_are_mirrored_on_both_sides():
    pairs = PhotographPairs(48, recolor=1.0, mirror=1.0, composite=STILL)
    photograph, reference, _ = pairs(pairs.prepare(emblem_image()), BACKGROUND, np.random.default_rng(0))
    upper_left, upper_right, lower_left, lower_right = corners(reference)
    assert upper_right == lower_right, "the left half, of one colour, went right"
    assert upper_left != lower_left
    np.testing.assert_allclose(corners(photograph), corners(reference), atol=1)


def test_a_share_out_of_range_and_a_small_background_are_refused():
    with pytest.raises(UsageError, match="mirror"):
        PhotographPairs(mirror=1.5)
    pairs = PhotographPairs(96)
    with pytest.raises(UsageError, match="96 x 96"):
        pairs(pairs.prepare(emblem_image()), BACKGROUND, np.random.default_rng(0))
