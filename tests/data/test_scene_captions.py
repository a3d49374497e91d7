"""The rules of the quickstart's scenes hold for every caption, and the splits share no scene."""

import itertools

import pytest
from hypothesis import given
from ofakit.data.scene_captions import (
    STYLES,
    Scene,
    describes,
    obeys_style,
    split_scenes,
)
from ofakit.errors import UsageError

from tests.data.scene_strategies import SCENES


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
