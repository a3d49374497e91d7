"""Regions of one colour are found in spite of compression, and painted anew."""

import io

import numpy as np
import pytest
from ofakit.errors import UsageError
from ofakit.preprocessors.recolor import paint, random_palette, separate
from PIL import Image

COLORS = [(200, 16, 46), (255, 255, 255), (1, 33, 105)]


def striped(compressed=False):
    pixels = np.repeat(np.array(COLORS, np.uint8), [30, 20, 10], axis=0)[:, None].repeat(40, axis=1)
    image = Image.fromarray(pixels)
    if not compressed:
        return image
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=85)
    return Image.open(io.BytesIO(stream.getvalue()))


@pytest.mark.parametrize("compressed", [False, True])
def test_stripes_are_found_the_largest_first(compressed):
    regions = separate(striped(compressed))
    assert len(regions.palette) == 3
    np.testing.assert_allclose(regions.palette, COLORS, atol=12)
    middles = regions.labels[[15, 40, 55]]
    assert (middles == [[0], [1], [2]]).all()


def test_its_own_colours_give_the_emblem_back():
    image = striped()
    np.testing.assert_array_equal(paint(separate(image)), np.asarray(image))


def test_new_colours_keep_the_arrangement():
    regions = separate(striped())
    palette = np.array([[0, 0, 0], [9, 9, 9], [5, 6, 7]], np.uint8)
    painted = paint(regions, palette)
    assert [painted[y, 3].tolist() for y in (0, 35, 59)] == palette.tolist()


def test_no_more_colours_than_asked_for():
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (20, 20, 3), np.uint8))
    assert len(separate(noise, colors=4).palette) <= 4
    assert separate(noise, colors=4).labels.max() < 4


def test_palettes_follow_from_their_seed_and_can_be_told_apart():
    palettes = [random_palette(4, np.random.default_rng(seed)) for seed in range(200)]
    np.testing.assert_array_equal(palettes[7], random_palette(4, np.random.default_rng(7)))
    nearest = [min(np.linalg.norm(p[i].astype(float) - p[j]) for i in range(4) for j in range(i)) for p in palettes]
    assert np.mean(np.array(nearest) >= 55) > 0.9


def test_wrong_numbers_are_refused():
    with pytest.raises(UsageError, match="256"):
        separate(striped(), colors=0)
    with pytest.raises(UsageError, match="one per region"):
        paint(separate(striped()), np.zeros((2, 3), np.uint8))
