"""Questions about drawn scenes, with what ten annotators would answer: data of the quickstart of question answering.

An annotator names what is there; some use another word for it, so that answers differ as those of people do and several
are right, one more than another.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from ofakit.data.scene_captions import COLORS, SHAPES, Scene, plural

__all__ = ["KINDS", "SceneQuestion", "ask"]

ANNOTATORS = 10
OTHER_WORDS = {
    "one": "1", "two": "2", "three": "3", "four": "4", "large": "big", "small": "little", "top left": "left",
    "top right": "right", "bottom left": "left", "bottom right": "right", "middle": "center",
}  # fmt: skip
"""What some annotators say instead."""
FEW = (1, 4)
"""How many annotators do."""


class SceneQuestion(NamedTuple):
    """A question about a scene.

    Attributes:
        kind: One of `KINDS`.
        question: The question.
        answer: What is right.
    """

    kind: str
    question: str
    answer: str

    def annotated(self, rng: np.random.Generator) -> list[str]:
        """What ten annotators answer; most say the right thing.

        Args:
            rng: Says how many use another word.
        """
        other = OTHER_WORDS.get(self.answer)
        few = 0 if other is None else int(rng.integers(FEW[0], FEW[1] + 1))
        return [self.answer] * (ANNOTATORS - few) + [str(other)] * few


def ask(scene: Scene, count: int, rng: np.random.Generator) -> list[SceneQuestion]:
    """Questions about a scene, no two of one kind.

    Args:
        scene: What is drawn.
        count: How many, at most as many as there are kinds that fit the scene.
        rng: Chooses them.

    >>> scene = Scene("red", "star", "two", "small", "top left")
    >>> sorted(ask(scene, 9, np.random.default_rng(0)))[1]
    SceneQuestion(kind='count', question='how many stars are there?', answer='two')
    """
    makers = PAIR if scene.relation is not None else GROUP
    chosen = rng.permutation(len(makers))[:count]
    return [makers[place](scene, rng) for place in sorted(chosen)]


def _count(scene: Scene, rng: np.random.Generator) -> SceneQuestion:
    return SceneQuestion("count", f"how many {plural(scene.shape)} are there?", str(scene.count))


def _color(scene: Scene, rng: np.random.Generator) -> SceneQuestion:
    return SceneQuestion("color", f"what color {_are(scene)}?", scene.color)


def _shape(scene: Scene, rng: np.random.Generator) -> SceneQuestion:
    return SceneQuestion("shape", "what shape is drawn?", scene.shape)


def _size(scene: Scene, rng: np.random.Generator) -> SceneQuestion:
    return SceneQuestion("size", f"how large {_are(scene)}?", str(scene.size))


def _place(scene: Scene, rng: np.random.Generator) -> SceneQuestion:
    return SceneQuestion("place", f"where {_are(scene)}?", str(scene.place))


def _yes(scene: Scene, rng: np.random.Generator) -> SceneQuestion:
    """Whether there is a shape of a colour; one time in two the colour or the shape is another."""
    color, shape = scene.color, scene.shape
    right = bool(rng.random() < 0.5)
    if not right and rng.random() < 0.5:
        color = str(rng.choice([own for own in COLORS if own not in (color, scene.other_color)]))
    elif not right:
        shape = str(rng.choice([own for own in SHAPES if own not in (shape, scene.other_shape)]))
    return SceneQuestion("yes or no", f"is there a {color} {shape}?", "yes" if right else "no")


def _other_color(scene: Scene, rng: np.random.Generator) -> SceneQuestion:
    return SceneQuestion("color", f"what color is the shape {_beside(scene)}?", scene.color)


def _other_shape(scene: Scene, rng: np.random.Generator) -> SceneQuestion:
    return SceneQuestion("shape", f"what shape is {_beside(scene)}?", scene.shape)


def _beside(scene: Scene) -> str:
    """Where the first of a pair is."""
    words = {"left": "left of", "right": "right of"}.get(str(scene.relation), str(scene.relation))
    return f"{words} the {scene.other_color} {scene.other_shape}"


def _are(scene: Scene) -> str:
    return f"is the {scene.shape}" if scene.count == "one" else f"are the {plural(scene.shape)}"


Maker = Callable[[Scene, np.random.Generator], SceneQuestion]
GROUP: tuple[Maker, ...] = (_color, _count, _shape, _size, _place, _yes)
PAIR: tuple[Maker, ...] = (_other_color, _other_shape, _yes)
KINDS = ("color", "count", "shape", "size", "place", "yes or no")
"""What questions ask for."""
