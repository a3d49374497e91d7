"""A member is built from a configuration whose keys and types are checked; faults name the key and the member."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from ofakit.data import READERS
from ofakit.errors import UsageError
from ofakit.objectives import OBJECTIVES
from ofakit.registry import Registry
from ofakit.rewards import REWARDS

if TYPE_CHECKING:
    from nowhere import Unknown

ROOM = Registry("piece", "ofakit.metrics")


@ROOM.register("sized")
def sized(size: int, share: float = 0.5, names: list[str] | None = None, model: Any = None, **rest: Any) -> tuple:
    return size, share, names, model, rest


@ROOM.register("unresolved")
def unresolved(size: int = 0, other: Unknown = None) -> tuple:
    return size, other


def test_values_get_the_type_of_their_argument():
    built = ROOM.build({"type": "sized", "size": 3.0, "share": 1, "names": ["a"], "odd": "x"}, model=b"context")
    assert built == (3, 1.0, ["a"], b"context", {"odd": "x"})
    assert isinstance(built[0], int) and isinstance(built[1], float)


def test_a_key_is_left_alone_where_its_annotation_cannot_be_resolved():
    assert ROOM.build({"type": "unresolved", "size": "x", "other": 3}) == ("x", 3)


@pytest.mark.parametrize(
    ("registry", "spec", "message"),
    [
        (READERS, {"type": "scenes", "images": "x"}, "key 'images' of reader 'scenes': expected int, found 'x'"),
        (READERS, {"type": "scenes", "styles": "pirate"}, r"'styles' .*expected Sequence\[str\], found 'pirate'"),
        (READERS, {"type": "jsonl", "train": 3}, r"'train' .*expected str \| None, found 3"),
        (READERS, {"type": "joined"}, "reader 'joined' needs the key 'readers'"),
        (READERS, {"type": ["joined"]}, "a reader needs a 'type'"),
        (READERS, 3, "a reader needs a 'type'"),
        (
            OBJECTIVES,
            {"type": "cross_entropy", "label_smoothing": "x"},
            "'label_smoothing' .*expected float",
        ),
        (OBJECTIVES, {"type": "scst", "rewards": ["cider_d"]}, r"'rewards' of objective 'scst': .*found \['cider_d'\]"),
        (OBJECTIVES, {"type": "scst", "rewards": [{"type": "length", "words": "x"}]}, "'words' of reward 'length'"),
        (OBJECTIVES, {"type": "scst", "rewards": [{"type": "length", "weight": "x"}]}, "'weight' of reward 'length'"),
        (REWARDS, {"type": "repetition", "order": 1.5}, "'order' .*expected int, found 1.5"),
    ],
)
def test_values_of_a_wrong_type_are_named(registry, spec, message):
    with pytest.raises(UsageError, match=message):
        registry.build(spec)


@pytest.mark.parametrize("weight", ["x", None, [1]])
def test_a_weight_is_a_number(weight):
    assert OBJECTIVES.weight({"type": "itm"}) == 1.0
    with pytest.raises(UsageError, match="key 'weight' of objective 'itm': expected float"):
        OBJECTIVES.weight({"type": "itm", "weight": weight})
