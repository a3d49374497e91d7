"""What a score returns, how resampled corpora are scored, and a check that candidates and references match.

Every corpus score here is a function of sums over items: of n-gram counts for BLEU, of match counts for METEOR, of the
items' own scores for the others and for rankings. A bootstrap sample is then a weighting of the items and costs one
matrix product.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain
from typing import NamedTuple

import numpy as np

from ofakit.errors import OfakitError, UsageError

__all__ = ["Measure", "MissingScoreError", "Score", "check_pairs", "mean_of"]


class MissingScoreError(OfakitError):
    """A score that cannot be computed here; the message says what is missing or went wrong, and how to fix it."""


class Score(NamedTuple):
    """A score of a corpus and of each of its items.

    Attributes:
        corpus: The corpus score.
        per_item: Float64 array, shape (items,), in the order of the candidates.
    """

    corpus: float
    per_item: np.ndarray


class Measure(NamedTuple):
    """A score as a function of sums over items.

    Attributes:
        statistics: Float64, shape (items, k): what is summed.
        combine: Sums, shape (rows, k) → scores, shape (rows,).
    """

    statistics: np.ndarray
    combine: Callable[[np.ndarray], np.ndarray]

    @property
    def corpus(self) -> float:
        """The corpus score."""
        # Column by column NumPy adds in pairs, which is as exact as the mean that each score gives by itself.
        sums = np.ascontiguousarray(self.statistics.T).sum(axis=1)
        return float(self.combine(sums[None])[0])

    @property
    def per_item(self) -> np.ndarray:
        """The score of each item, shape (items,)."""
        return self.combine(self.statistics)


def mean_of(per_item: np.ndarray) -> Measure:
    """The measure of a score whose corpus score is the mean over its items.

    Args:
        per_item: Float, shape (items,).

    >>> mean_of(np.array([1.0, 0.0, 0.5])).corpus
    0.5
    """
    return Measure(np.column_stack((per_item, np.ones(len(per_item)))), _mean)


def _mean(sums: np.ndarray) -> np.ndarray:
    return sums[:, 0] / sums[:, 1]


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
