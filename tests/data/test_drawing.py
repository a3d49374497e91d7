"""A drawing follows from its seed, stays on the canvas, and shows what its captions say."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ofakit.data.drawing import RGB, draw_scene
from ofakit.data.scene_captions import COLORS, PLACES, RELATIONS, SHAPES, Scene

from tests.data.scene_strategies import SCENES


@given(SCENES, st.integers(0, 2**32 - 1))
def test_images_follow_from_their_seed_and_keep_off_the_edge(scene, seed):
    first = np.asarray(draw_scene(scene, 48, np.random.default_rng(seed)))
    assert first.shape == (48, 48, 3)
    np.testing.assert_array_equal(first, np.asarray(draw_scene(scene, 48, np.random.default_rng(seed))))
    border = np.concatenate([first[0], first[-1], first[:, 0], first[:, -1]])
    assert border.min() > 200


def painted(scene):
    """Share of the canvas that is not background."""
    pixels = np.asarray(draw_scene(scene, 96, np.random.default_rng(1))).astype(int)
    return np.abs(pixels - pixels[0, 0]).max(axis=2) > 60


def test_what_is_drawn_is_what_is_said():
    def group(**changes):
        return Scene(
            **{"color": "red", "shape": "square", "count": "one", "size": "small", "place": "middle"} | changes
        )

    areas = [painted(group(count=count)).sum() for count in ("one", "two", "three", "four")]
    np.testing.assert_allclose(areas, np.arange(1, 5) * areas[0], rtol=0.1)
    assert painted(group(size="large")).sum() > 2 * areas[0]
    for place in PLACES:
        y, x = (axis.mean() / 96 for axis in np.nonzero(painted(group(place=place))))
        assert (x < 0.4) == ("left" in place)
        assert (x > 0.6) == ("right" in place)
        assert (y < 0.4) == ("top" in place)
        assert (y > 0.6) == ("bottom" in place)
    for relation in RELATIONS:
        scene = Scene("red", "square", relation=relation, other_color="black", other_shape="ring")
        pixels = np.asarray(draw_scene(scene, 96, np.random.default_rng(2))).astype(int)
        red = np.argwhere((pixels[..., 0] > 150) & (pixels[..., 1] < 100)).mean(axis=0)
        black = np.argwhere(pixels.max(axis=2) < 80).mean(axis=0)
        axis, sign = {"left": (1, -1), "right": (1, 1), "above": (0, -1), "below": (0, 1)}[relation]
        assert (red - black)[axis] * sign > 20


@pytest.mark.parametrize("color", COLORS)
def test_a_shape_has_the_colour_that_is_said(color):
    scene = Scene(color, "square", "one", "large", "middle")
    pixels = np.asarray(draw_scene(scene, 48, np.random.default_rng(0))).astype(int)
    # Each channel is at most 12 off, and the nearest of the seven colours is the one.
    assert np.abs(pixels[24, 24] - RGB[color]).max() <= 12
    assert min(RGB, key=lambda name: np.abs(pixels[24, 24] - RGB[name]).sum()) == color


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_has_an_outline_of_its_own(shape):
    def areas(name):
        return painted(Scene("black", name, "one", "large", "middle"))

    assert all((areas(shape) != areas(other)).mean() > 0.002 for other in SHAPES if other != shape)
    assert areas(shape)[48, 48] == (shape != "ring")


def test_the_numbers_of_the_generator_decide_what_the_scene_leaves_open():
    scene = Scene("red", "star", "two", "small", "top left")
    first, second = (np.asarray(draw_scene(scene, 48, np.random.default_rng(seed))) for seed in (0, 1))
    assert not np.array_equal(first, second)
