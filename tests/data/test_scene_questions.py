"""What is asked about a scene, and that the answers are right."""

from __future__ import annotations

import numpy as np
import pytest
from ofakit.data.scene_captions import COLORS, SHAPES, Scene, split_scenes
from ofakit.data.scene_questions import GROUP, KINDS, PAIR, ask

STAR = Scene("red", "star", "one", "large", "middle")
PAIRED = Scene("red", "star", relation="above", other_color="blue", other_shape="ring")


def asked(scene):
    return {found.kind: found for found in ask(scene, 9, np.random.default_rng(1))}


def test_every_kind_is_asked_once():
    found = asked(STAR)
    assert set(found) == set(KINDS) and len(ask(STAR, 9, np.random.default_rng(1))) == len(GROUP)
    assert found["color"][1:] == ("what color is the star?", "red")
    assert found["place"][1:] == ("where is the star?", "middle")
    assert found["size"][1:] == ("how large is the star?", "large")
    assert asked(Scene("red", "cross", "two", "small", "top"))["count"][1:] == ("how many crosses are there?", "two")
    pair = asked(PAIRED)
    assert len(pair) == len(PAIR) and pair["color"][1:] == ("what color is the shape above the blue ring?", "red")
    assert pair["shape"][1:] == ("what shape is above the blue ring?", "star")


def test_yes_and_no_are_right_and_as_frequent():
    scenes = split_scenes({"train": 800}, seed=3)["train"]
    said = {"yes": 0, "no": 0}
    for number, scene in enumerate(scenes):
        found = {own.kind: own for own in ask(scene, 9, np.random.default_rng(number))}["yes or no"]
        color, shape = found.question.removeprefix("is there a ").removesuffix("?").split()
        assert color in COLORS and shape in SHAPES
        there = {(scene.color, scene.shape), (scene.other_color, scene.other_shape)}
        assert found.answer == ("yes" if (color, shape) in there else "no")
        said[found.answer] += 1
    assert min(said.values()) > 300


@pytest.mark.parametrize(("kind", "other"), [("place", "center"), ("size", "big"), ("count", "1"), ("color", None)])
def test_some_annotators_use_another_word(kind, other):
    found = asked(STAR)[kind]
    counts = {len(set(found.annotated(np.random.default_rng(seed)))) for seed in range(9)}
    answers = found.annotated(np.random.default_rng(0))
    assert len(answers) == 10 and set(answers) <= {found.answer, other} and answers.count(found.answer) >= 6
    assert counts == ({1} if other is None else {2})


def test_questions_follow_the_seed():
    one, same, other = (ask(STAR, 3, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert one == same and len(one) == 3 and one != other
