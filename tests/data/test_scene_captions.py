"""The rules of the quickstart's scenes hold for every caption, and the splits share no scene."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ofakit.data.drawing import draw_scene
from ofakit.data.scene_captions import (
    COLORS,
    PLACES,
    RELATIONS,
    SHAPES,
    STYLES,
    Scene,
    describes,
    obeys_style,
    split_scenes,
)
from ofakit.errors import UsageError

GROUPS = st.builds(
    Scene,
    color=st.sampled_from(COLORS),
    shape=st.sampled_from(SHAPES),
    count=st.sampled_from(["one", "two", "three", "four"]),
    size=st.sampled_from(["small", "large"]),
    place=st.sampled_from(list(PLACES)),
)
PAIRS = st.builds(
    Scene,
    color=st.sampled_from(COLORS),
    shape=st.sampled_from(SHAPES),
    relation=st.sampled_from(list(RELATIONS)),
    other_color=st.sampled_from(COLORS),
    other_shape=st.sampled_from(SHAPES),
)
SCENES = GROUPS | PAIRS


@given(SCENES)
def test_every_caption_keeps_to_its_style_alone_and_describes_its_scene(scene):
    for style in STYLES:
        captions = scene.captions(style)
        assert len(set(captions)) == 4
        for caption in captions:
            assert describes(caption, scene)
            assert describes(caption.upper().replace(",", ""), scene)
            assert [s for s in STYLES if obeys_style(caption, s)] == [style]


@given(SCENES, SCENES)
def test_no_caption_describes_another_scene(scene, other):
    for style in STYLES:
        assert describes(scene.captions(style)[0], other) == (scene == other)


def test_a_caption_of_two_styles_or_none_obeys_neither():
    assert not any(obeys_style("a red star", style) for style in STYLES)
    assert not any(obeys_style("arr softly a red star", style) for style in STYLES)
    with pytest.raises(UsageError, match="did you mean 'pirate'"):
        obeys_style("arr", "pirat")
    with pytest.raises(UsageError, match="unknown style"):
        Scene("red", "star", "one", "small", "top").captions("rude")


@pytest.mark.parametrize("pairs", [0.0, 0.3, 1.0])
def test_splits_share_no_scene(pairs):
    splits = split_scenes({"train": 3000, "val": 100, "test": 200}, pairs, seed=3)
    assert {name: len(scenes) for name, scenes in splits.items()} == {"train": 3000, "val": 100, "test": 200}
    for one, other in itertools.combinations(splits.values(), 2):
        assert not set(one) & set(other)
    assert len(set(splits["test"])) == 200
    share = sum(scene.relation is not None for scene in splits["test"]) / 200
    assert share == pytest.approx(pairs, abs=0.01)
    assert splits == split_scenes({"train": 3000, "val": 100, "test": 200}, pairs, seed=3)
    assert splits != split_scenes({"train": 3000, "val": 100, "test": 200}, pairs, seed=4)


def test_only_the_largest_split_repeats_scenes():
    splits = split_scenes({"train": 9000, "val": 10, "test": 20}, 0.0)
    assert len(splits["train"]) == 9000 > len(set(splits["train"])) > 2900
    with pytest.raises(UsageError, match="at most"):
        split_scenes({"train": 9000, "test": 8000}, 0.0)


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
