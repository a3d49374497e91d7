"""Drawn scenes and what four characters say about them: the data of the quickstart.

A scene is a group (one to four shapes of one colour and size somewhere on the canvas) or a pair (one shape beside,
above or below another). Everything in a caption that depends on the image is a content word; every style frames the
content with words of its own, some of which no other style uses. So a rule decides whether a caption describes an
image and whether it keeps to a style; no model is needed.

Everything follows from a seed. The scenes of different splits differ in content, not just in their pixels.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace

import numpy as np

from ofakit.errors import UsageError, did_you_mean

__all__ = [
    "COLORS",
    "COUNTS",
    "PLACES",
    "RELATIONS",
    "SHAPES",
    "STYLES",
    "Scene",
    "describes",
    "obeys_style",
    "plural",
    "split_scenes",
]

COUNTS = ("one", "two", "three", "four")
SIZES = ("small", "large")
COLORS = ("red", "orange", "yellow", "green", "blue", "purple", "black")
SHAPES = ("circle", "square", "triangle", "star", "cross", "ring")
PLACES = {
    "middle": "in the middle",
    "top": "at the top",
    "bottom": "at the bottom",
    "left": "on the left",
    "right": "on the right",
    "top left": "in the top left corner",
    "top right": "in the top right corner",
    "bottom left": "in the bottom left corner",
    "bottom right": "in the bottom right corner",
}
RELATIONS = {"left": "left of", "right": "right of", "above": "above", "below": "below"}

# {s} is "" for one shape and "s" for more, {is} agrees with it; each frame keeps the content in one piece, in order.
STYLES: dict[str, tuple[str, ...]] = {
    "plain": (
        "there {is} {things}{where} .",
        "the picture shows {things}{where} .",
        "this is a drawing of {things}{where} .",
        "you can see {things}{where} .",
    ),
    "poetic": (
        "softly {things} dream{s}{where} , like a quiet song .",
        "in gentle light {things} dream{s}{where} .",
        "softly {things} dream{s}{where} , under a silver moon .",
        "oh , how {things} dream{s}{where} .",
    ),
    "pirate": (
        "arr , thar be {things}{where} , matey !",
        "ahoy , thar be {things}{where} !",
        "shiver me timbers , thar be {things}{where} !",
        "yo ho ho , thar be {things}{where} , matey !",
    ),
    "robot": (
        "scan complete : {log} .",
        "beep : {log} , over .",
        "sensor report : {log} .",
        "scan complete : {log} , over .",
    ),
}

MARKERS = {
    "plain": {"there", "picture", "shows", "drawing", "can", "see"},
    "poetic": {"softly", "dream", "dreams", "gentle", "quiet", "song", "silver", "moon", "oh", "how"},
    "pirate": {"arr", "thar", "matey", "ahoy", "shiver", "timbers", "yo", "ho"},
    "robot": {"scan", "complete", "beep", "sensor", "report", "over", "color", "shape", "zone", "object", "relation"},
}

CONTENT = {*COUNTS, *SIZES, *COLORS, *SHAPES, *" ".join(PLACES).split(), *RELATIONS}
PLURALS = {f"{shape}s": shape for shape in SHAPES} | {"crosses": "cross"}


@dataclass(frozen=True)
class Scene:
    """What is on a canvas.

    Attributes:
        color: Of the shapes, or of the first of a pair.
        shape: The same.
        count: "one" to "four"; None for a pair.
        size: "small" or "large"; None for a pair.
        place: Where a group is, a key of `PLACES`; None for a pair.
        relation: Where the first of a pair is relative to the second, a key of `RELATIONS`; None for a group.
        other_color: Of the second of a pair; None for a group.
        other_shape: The same.
    """

    color: str
    shape: str
    count: str | None = None
    size: str | None = None
    place: str | None = None
    relation: str | None = None
    other_color: str | None = None
    other_shape: str | None = None

    def to_dict(self) -> dict[str, str]:
        """What is known about the scene, fit for JSON."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    def content(self) -> list[str]:
        """The content words of every caption of this scene, in order."""
        if self.relation is not None:
            return [self.color, self.shape, self.relation, str(self.other_color), str(self.other_shape)]
        return [str(self.count), str(self.size), self.color, self.shape, *str(self.place).split()]

    def captions(self, style: str) -> list[str]:
        """The four references in one style, all with the same content.

        Args:
            style: A key of `STYLES`.

        Raises:
            UsageError: There is no such style.

        >>> Scene("red", "star", "three", "small", "top left").captions("pirate")[1]
        'ahoy , thar be three small red stars in the top left corner !'
        >>> Scene("red", "star", relation="above", other_color="blue", other_shape="ring").captions("robot")[0]
        'scan complete : object red star , relation above , object blue ring .'
        """
        if style not in STYLES:
            raise UsageError(f"unknown style {style!r} of scenes: {did_you_mean(str(style), STYLES)}")
        words = self._group_words() if self.relation is None else self._pair_words()
        return [frame.format(**words) for frame in STYLES[style]]

    def _group_words(self) -> dict[str, str]:
        many = self.count != "one"
        shapes = plural(self.shape) if many else self.shape
        return {
            "things": f"{self.count} {self.size} {self.color} {shapes}",
            "where": f" {PLACES[str(self.place)]}",
            "is": "are" if many else "is",
            "s": "" if many else "s",
            "log": f"count {self.count} , size {self.size} , color {self.color} , shape {self.shape} , "
            f"zone {self.place}",
        }

    def _pair_words(self) -> dict[str, str]:
        first, second = f"{self.color} {self.shape}", f"{self.other_color} {self.other_shape}"
        return {
            "things": f"{_article(first)} {first}",
            "where": f" {RELATIONS[str(self.relation)]} {_article(second)} {second}",
            "is": "is",
            "s": "s",
            "log": f"object {first} , relation {self.relation} , object {second}",
        }


def describes(caption: str, scene: Scene) -> bool:
    """Whether a caption names everything in a scene, and nothing else.

    Args:
        caption: In any style.
        scene: What is on the canvas.

    >>> scene = Scene("red", "star", "three", "small", "top left")
    >>> describes("arr thar be three small red stars in the top left corner", scene)
    True
    >>> describes("arr thar be three small red stars in the top right corner", scene)
    False
    """
    words = [PLURALS.get(word, word) for word in _words(caption)]
    return [word for word in words if word in CONTENT] == scene.content()


def obeys_style(caption: str, style: str) -> bool:
    """Whether a caption has words that only this style uses, and none that only another style uses.

    Args:
        caption: In any case.
        style: A key of `STYLES`, in any case.

    Raises:
        UsageError: There is no such style.

    >>> obeys_style("Ahoy, thar be a red star!", "pirate"), obeys_style("Ahoy, there is a red star!", "pirate")
    (True, False)
    """
    style = style.strip().lower()
    if style not in MARKERS:
        raise UsageError(f"unknown style {style!r} of scenes: {did_you_mean(style, MARKERS)}")
    words = set(_words(caption))
    return bool(words & MARKERS[style]) and not any(words & MARKERS[other] for other in MARKERS if other != style)


def split_scenes(images: Mapping[str, int], pairs: float = 0.3, seed: int = 7) -> dict[str, list[Scene]]:
    """Choose the scenes of each split; no scene is in two of them.

    Args:
        images: How many each split has; the largest gets what the others leave, and repeats scenes only when it has
            used them all.
        pairs: The share of pairs, 0 to 1.
        seed: Of the choice.

    Returns:
        The scenes of each split, groups and pairs mixed.

    Raises:
        UsageError: There are not enough scenes.
    """
    rng = np.random.default_rng([seed, 0])
    chosen: dict[str, list[Scene]] = {split: [] for split in images}
    for pool, share in ((_pairs(), pairs), (_groups(), 1 - pairs)):
        left = [pool[k] for k in rng.permutation(len(pool))]
        for split in sorted(images, key=lambda name: (images[name], name)):
            wanted = round(images[split] * share)
            last = split == max(images, key=lambda name: (images[name], name))
            if wanted > len(left) and not (last and left):
                raise UsageError(f"expected at most {len(left)} scenes of one kind in {split!r}, found {wanted}")
            chosen[split] += itertools.islice(itertools.cycle(left), wanted)
            left = left[wanted:]
    return {split: [scenes[k] for k in rng.permutation(len(scenes))] for split, scenes in chosen.items()}


def _groups() -> list[Scene]:
    kinds = itertools.product(COLORS, SHAPES, COUNTS, SIZES, PLACES)
    return [Scene(*kind) for kind in kinds]


def _pairs() -> list[Scene]:
    kinds = itertools.product(itertools.permutations(COLORS, 2), SHAPES, SHAPES, RELATIONS)
    first = Scene("", "")
    return [
        replace(first, color=color, shape=shape, relation=relation, other_color=other_color, other_shape=other_shape)
        for (color, other_color), shape, other_shape, relation in kinds
    ]


def plural(shape: str) -> str:
    """The name of several shapes.

    Args:
        shape: One of `SHAPES`.

    >>> plural("cross"), plural("star")
    ('crosses', 'stars')
    """
    return "crosses" if shape == "cross" else f"{shape}s"


def _article(words: str) -> str:
    return "an" if words[0] in "aeiou" else "a"


def _words(caption: str) -> list[str]:
    return re.findall(r"[a-z]+", caption.lower())
