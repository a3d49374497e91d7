"""What a score returns, and a check that candidates and references match."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import NamedTuple

import numpy as np

from ofakit.errors import UsageError

__all__ = ["Score", "check_pairs"]


class Score(NamedTuple):
    """A score of a corpus and of each of its items.

    Attributes:
        corpus: The corpus score.
        per_item: Float64 array, shape (items,), in the order of the candidates.
    """

    corpus: float
    per_item: np.ndarray


def check_pairs(candidates: Sequence[str], references: Sequence[Sequence[str]]) -> None:
    """Check that every candidate is a string and has at least one reference string.

    Args:
        candidates: One caption per item.
        references: The references of each item, in the same order.

    Raises:
        UsageError: Lengths differ, there is nothing to score, or something is not a string. The message names the
            first item that is wrong.

    >>> check_pairs(["a dog"], [["a cat", "a dog"]])
    >>> check_pairs(["a dog"], ["a cat"])
    Traceback (most recent call last):
    ofakit.errors.UsageError: references[0]: expected a list of strings, found 'a cat'; wrap it in a list
    """
    if isinstance(candidates, str) or isinstance(references, str):
        raise UsageError("expected candidates: list[str] and references: list[list[str]], found a bare string")
    if len(candidates) != len(references):
        raise UsageError(
            f"expected as many reference lists as candidates, found {len(candidates)} candidates and "
            f"{len(references)} reference lists"
        )
    if not candidates:
        raise UsageError("nothing to score: there are no candidates")
    if set(map(type, candidates)) != {str}:
        _check_candidates(candidates)
    lists = set(map(type, references)) <= {list, tuple} and all(references)
    if not lists or set(map(type, chain.from_iterable(references))) != {str}:
        for item, strings in enumerate(references):
            _check_references(item, strings)


def _check_candidates(candidates: Sequence[str]) -> None:
    for item, text in enumerate(candidates):
        if not isinstance(text, str):
            raise UsageError(f"candidates[{item}]: expected a string, found {text!r}")


def _check_references(item: int, strings: Sequence[str]) -> None:
    if isinstance(strings, str):
        raise UsageError(f"references[{item}]: expected a list of strings, found {strings!r}; wrap it in a list")
    if not isinstance(strings, Sequence):
        raise UsageError(f"references[{item}]: expected a list of strings, found {strings!r}")
    if not strings:
        raise UsageError(f"references[{item}]: expected at least one reference, found an empty list; drop the item")
    for position, text in enumerate(strings):
        if not isinstance(text, str):
            raise UsageError(f"references[{item}][{position}]: expected a string, found {text!r}")
