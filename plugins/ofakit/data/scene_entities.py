"""Invented emblems for a generated knowledge base: each has a look, a name and a fact on each of six topics.

An emblem looks like a pair of drawn shapes (`ofakit.data.scene_captions.Scene`), and no two emblems show the same two.
A passage states one fact of one emblem; a question asks for the fact on a topic and never names the emblem. So the
words of a question tell the topic, its image tells the emblem, and only both together tell the passage. Every answer,
such as a town or a year, is that of one emblem alone.

Everything follows from a seed.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ofakit.data.scene_captions import COLORS, RELATIONS, SHAPES, Scene
from ofakit.errors import UsageError

__all__ = ["MOST_ENTITIES", "TOPICS", "Entity", "Topic", "invent_entities"]


@dataclass(frozen=True)
class Topic:
    """What can be asked about every emblem.

    Attributes:
        questions: Ways to ask.
        statements: Ways to answer, with {name} for the emblem and {answer} for the fact.
    """

    questions: tuple[str, ...]
    statements: tuple[str, ...]


TOPICS = {
    "town": Topic(
        ("Where was this emblem first made?", "In which town was this emblem made?", "Which town is this emblem from?"),
        (
            "{name} was first made in the town of {answer}.",
            "Craftsmen of the town of {answer} made the first one.",
            "It is from {answer}, a town of weavers, where it was made for a guild.",
        ),
    ),
    "designer": Topic(
        ("Who designed this emblem?", "Which painter drew the design of this emblem?", "Whose design is this emblem?"),
        (
            "{name} was designed by the painter {answer}.",
            "The design is by {answer}, who drew it in one night.",
            "A painter called {answer} drew the design of it.",
        ),
    ),
    "year": Topic(
        ("When was this emblem adopted?", "In which year was this emblem adopted?", "Since what year is it in use?"),
        (
            "{name} was adopted in the year {answer}.",
            "It has been in use since the year {answer}.",
            "The council adopted it in {answer}, after a vote.",
        ),
    ),
    "material": Topic(
        ("What is this emblem carved from?", "Which materials is this emblem carved from?", "Of what is it carved?"),
        (
            "{name} is carved from {answer}.",
            "The materials that it is carved from are {answer}.",
            "Old pieces are carved from {answer}.",
        ),
    ),
    "feast": Topic(
        ("At which feast is this emblem carried?", "On what feast do people carry it?", "At what feast is it shown?"),
        (
            "{name} is carried through the streets at the feast of {answer}.",
            "People carry it at the feast of {answer}.",
            "It is shown at the feast of {answer}, when bells ring.",
        ),
    ),
    "owner": Topic(
        ("Which family owns this emblem?", "Which family keeps this emblem today?", "What family is its owner?"),
        (
            "{name} is owned by the family {answer}.",
            "Today the family {answer} keeps it.",
            "Its owner is the family {answer}, of the old nobility.",
        ),
    ),
}

REMARKS = (
    "Few travellers have seen it.",
    "Much has been written about this.",
    "A copy hangs in the library.",
    "This is told in an old ballad.",
    "Historians agree on that.",
    "Children learn it at school.",
    "No other source mentions it.",
    "The archive holds a letter about it.",
)
BEGINNINGS = ("bar", "cel", "dor", "fen", "gal", "hav", "jor", "kel", "lun", "mer", "nor", "pel", "quin", "ros", "syl")
MIDDLES = ("a", "e", "i", "o", "u", "an", "er", "il", "on", "ur")
ENDINGS = {
    "name": ("dria", "vane", "lis", "thera", "mond"),
    "town": ("burg", "ford", "mouth", "stead", "wick"),
    "designer": ("kov", "sen", "tini", "dottir", "ero"),
    "feast": ("mas", "tide", "dag", "fest", "eve"),
    "owner": ("heim", "stein", "court", "sworth", "ville"),
}
# fmt: off
MATERIALS = (
    "oak", "ash", "elm", "pine", "yew", "birch", "walnut", "cherry", "cedar", "maple", "bronze", "copper", "iron",
    "silver", "tin", "brass", "lead", "steel", "marble", "slate", "granite", "basalt", "chalk", "amber", "ivory",
    "horn", "bone", "coral", "jade", "glass",
)
# fmt: on
YEARS = range(1100, 2000)
MOST_ENTITIES = len(MATERIALS) * (len(MATERIALS) - 1) // 2
"""How many emblems there can be: as many as pairs of materials."""


@dataclass(frozen=True)
class Entity:
    """An emblem.

    Attributes:
        name: Invented, and no other emblem's.
        scene: What it looks like.
        facts: The answer on each topic, and no other emblem's on that topic.
        passages: What is said on each topic, one or two sentences.
        questions: What is asked on each topic.
    """

    name: str
    scene: Scene
    facts: dict[str, str]
    passages: dict[str, str]
    questions: dict[str, str]


def invent_entities(count: int, seed: int = 7) -> list[Entity]:
    """Invent emblems that differ in look, name and every fact.

    Args:
        count: How many.
        seed: Of everything.

    Raises:
        UsageError: More are wanted than there are.

    >>> first, second = invent_entities(2)
    >>> first.name in first.questions["year"], first.facts["year"] in first.passages["year"]
    (False, True)
    >>> first.facts["year"] == second.facts["year"]
    False
    """
    if not 1 <= count <= MOST_ENTITIES:
        raise UsageError(f"expected 1 to {MOST_ENTITIES} entities in all, found {count}")
    rng = np.random.default_rng([seed, 0])
    looks = _chosen(_looks(), count, rng)
    words = {kind: _chosen(_words(endings), count, rng) for kind, endings in ENDINGS.items()}
    facts = {topic: words[topic] for topic in ("town", "designer", "feast", "owner")}
    facts["year"] = [str(year) for year in _chosen(YEARS, count, rng)]
    facts["material"] = [
        " and ".join(pair) for pair in _chosen(tuple(itertools.combinations(MATERIALS, 2)), count, rng)
    ]
    return [
        _entity(words["name"][k], looks[k], {topic: facts[topic][k] for topic in TOPICS}, rng) for k in range(count)
    ]


def _entity(name: str, look: tuple[str, ...], facts: dict[str, str], rng: np.random.Generator) -> Entity:
    color, shape, other_color, other_shape = look

    def pick(options: Sequence[str]) -> str:
        return options[int(rng.integers(len(options)))]

    relation = pick(tuple(RELATIONS))
    return Entity(
        name,
        Scene(color, shape, relation=relation, other_color=other_color, other_shape=other_shape),
        facts,
        {topic: _passage(name, facts[topic], TOPICS[topic], pick) for topic in TOPICS},
        {topic: pick(TOPICS[topic].questions) for topic in TOPICS},
    )


def _passage(name: str, answer: str, topic: Topic, pick: Callable[[Sequence[str]], str]) -> str:
    sentences = [pick(topic.statements).format(name=name, answer=answer), pick((*REMARKS, ""))]
    return " ".join(sentence for sentence in sentences if sentence)


def _looks() -> list[tuple[str, ...]]:
    """Colour and shape of both shapes, for every two shapes in two colours; each two once."""
    pairs = itertools.product(itertools.combinations(COLORS, 2), SHAPES, SHAPES)
    return [(one, shape, other, other_shape) for (one, other), shape, other_shape in pairs]


def _words(endings: Sequence[str]) -> list[str]:
    return ["".join(parts).capitalize() for parts in itertools.product(BEGINNINGS, MIDDLES, endings)]


def _chosen(pool: Sequence, count: int, rng: np.random.Generator) -> list:
    """Some of a pool, in random order."""
    return [pool[k] for k in rng.permutation(len(pool))[:count]]
