"""A drawing follows from its seed, stays on the canvas, and shows what its captions say."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ofakit.data.drawing import RGB, draw_scene, shapes_in
from ofakit.data.scene_captions import COLORS, COUNTS, PLACES, RELATIONS, SHAPES, Scene

from tests.data.scene_strategies import SCENES


@given(SCENES, st.integers(0, 2**32 - 1))
def test_images_follow_from_their_seed_and_keep_off_the_edge(scene, seed):
    first = np.asarray(draw_scene(scene, 48, np.random.default_rng(seed)))
    assert first.shape == (48, 48, 3)
    np.testing.assert_array_equal(first, np.asarray(draw_scene(scene, 48, np.random.default_rng(seed))))
    border = np.concatenate([first[0], first[-1], first[:, 0], first[:, -1]])
    assert border.min() > 100  # a shape may tint the outermost pixels, but not cover one


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


@given(SCENES, st.integers(0, 2**32 - 1))
def test_boxes_are_those_of_what_is_painted(scene, seed):
    """Every box holds paint up to its edges, and all paint lies in a box."""
    size = 96
    pixels = np.asarray(draw_scene(scene, size, np.random.default_rng(seed))).astype(int)
    paint = np.abs(pixels - pixels[0, 0]).max(axis=2) > 8
    inside = np.zeros_like(paint)
    shapes = shapes_in(scene, np.random.default_rng(seed))
    assert len(shapes) == (2 if scene.relation else COUNTS.index(scene.count) + 1)
    for said in shapes:
        x1, y1, x2, y2 = said.box
        part = (slice(int(y1 * size), int(np.ceil(y2 * size)) + 1), slice(int(x1 * size), int(np.ceil(x2 * size)) + 1))
        inside[part] = True
        y, x = np.nonzero(paint[part])
        assert y.min() <= 2 and x.min() <= 2 and len(y) > 0
        assert said.text.split()[0] in COLORS and said.text.split()[1] in SHAPES
    assert not (paint & ~inside).any()
