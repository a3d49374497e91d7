"""One value against one annotation: converted where that loses nothing, refused by its key where it does not fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pytest
from ofakit.config.values import checked_value, resolved_annotations
from ofakit.errors import UsageError

if TYPE_CHECKING:
    from nowhere import Unknown


class Opaque:
    """A type that pydantic has no rule for."""


@pytest.mark.parametrize(
    ("value", "annotation", "expected"),
    [
        (3, float, 3.0),
        (3.0, int, 3),
        (None, int | None, None),
        (["a"], Sequence[str], ["a"]),
        ([1, 2], tuple[float, float], (1.0, 2.0)),
        ("a/b", str | Path, "a/b"),
        ({"type": "x"}, Mapping[str, Any], {"type": "x"}),
        ("anything", Any, "anything"),
        (3, Opaque, 3),
    ],
)
def test_a_value_that_fits_gets_the_type_of_its_annotation(value, annotation, expected):
    found = checked_value(value, annotation, "key", "reader 'mine'")
    assert found == expected and type(found) is type(expected)


@pytest.mark.parametrize(
    ("value", "annotation", "said"),
    [
        (1.5, int, "expected int, found 1.5"),
        ("x", float, "expected float, found 'x'"),
        ("abc", Sequence[str], "expected Sequence[str], found 'abc'"),
        (3, str | Path | None, "expected str | Path | None, found 3"),
        ("c", Literal["a", "b"], "expected Literal['a', 'b'], found 'c'"),
        ([1], tuple[float, float], "expected tuple[float, float], found [1]"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_by_its_key(value, annotation, said):
    with pytest.raises(UsageError) as caught:
        checked_value(value, annotation, "words", "reward 'length'")
    assert str(caught.value) == f"key 'words' of reward 'length': {said}"
    assert caught.value.key == "words"


def function(size: int, share: float = 0.5): ...


class Member:
    def __init__(self, names: list[str]) -> None: ...


def unresolved(size: int, other: Unknown): ...


@pytest.mark.parametrize(
    ("member", "annotations"),
    [(function, {"size": int, "share": float}), (Member, {"names": list[str], "return": type(None)}), (unresolved, {})],
)
def test_annotations_are_those_of_a_function_or_a_constructor(member, annotations):
    assert resolved_annotations(member) == annotations
