"""How certain a corpus score is, and whether two systems differ: of captions, or of rankings, query by query.

    paired_tests({"mrr@100": mean_of(first)}, {"mrr@100": mean_of(second)})

Bootstrap: items are drawn with replacement and the corpus score is computed again (Koehn 2004,
https://aclanthology.org/W04-3250); document frequencies stay those of the whole corpus. Paired test: Fisher's
randomization, which swaps the two systems' outputs item by item (Noreen 1989; Smucker et al. 2007).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

from ofakit.errors import UsageError
from ofakit.scores.score import Measure

__all__ = ["Difference", "Interval", "bootstrap_intervals", "paired_tests"]

_BLOCK = 4_000_000


class Interval(NamedTuple):
    """Bounds between which a corpus score lies with the confidence asked for."""

    low: float
    high: float


class Difference(NamedTuple):
    """Corpus score of the second system minus that of the first, and how often chance alone makes one as large."""

    difference: float
    p: float


def bootstrap_intervals(
    measures: Mapping[str, Measure], resamples: int = 1000, confidence: float = 0.95, seed: int = 0
) -> dict[str, Interval]:
    """Percentile intervals of corpus scores; all measures see the same resamples.

    Args:
        measures: At least one, by name; all of the same items.
        resamples: How many corpora are drawn, at least 1.
        confidence: Between 0 and 1.
        seed: Same seed, same intervals.

    Returns:
        The interval of each measure, by name.

    Raises:
        UsageError: A number is out of its range, there is no measure, or the measures are not of the same items.

    >>> from ofakit.scores.measures import measure
    >>> measures, _ = measure(["a dog"] * 3 + ["a cat"] * 3, [["a dog"]] * 6, java=False)
    >>> low, high = bootstrap_intervals(measures)["bleu1"]
    >>> round(low, 2), round(measures["bleu1"].corpus, 2), round(high, 2)
    (0.58, 0.75, 0.92)
    """
    if resamples < 1 or not 0 < confidence < 1:
        raise UsageError(
            f"bootstrap: expected 1 resample or more and a confidence between 0 and 1, found {resamples}, {confidence}"
        )
    statistics, columns = _side_by_side(measures)
    items = len(statistics)
    generator = np.random.default_rng(seed)
    blocks = []
    for rows in _blocks(resamples, items):
        drawn = (np.bincount(generator.integers(items, size=items), minlength=items) for _ in range(rows))
        blocks.append(np.array(list(drawn), dtype=np.float64) @ statistics)
    sums = np.concatenate(blocks)
    tails = [(1 - confidence) / 2, (1 + confidence) / 2]
    return {
        name: Interval(*np.quantile(measures[name].combine(sums[:, columns[name]]), tails).tolist())
        for name in measures
    }


def paired_tests(
    first: Mapping[str, Measure], second: Mapping[str, Measure], rounds: int = 10_000, seed: int = 0
) -> dict[str, Difference]:
    """Two-sided randomization test of every measure that both systems have.

    Args:
        first: Measures of one system by name.
        second: Those of the other system, for the same items in the same order.
        rounds: How many random swaps are tried, at least 1.
        seed: Same seed, same p values.

    Returns:
        For each measure the difference second - first and p = (1 + swaps with a difference as large) / (1 + rounds).

    Raises:
        UsageError: The systems were not scored on the same number of items or have no measure in common, or `rounds` is
            below 1.

    >>> from ofakit.scores.measures import measure
    >>> references = [["a dog runs"]] * 8
    >>> good, _ = measure(["a dog runs"] * 8, references, java=False)
    >>> poor, _ = measure(["a dog sat"] * 8, references, java=False)
    >>> paired_tests(poor, good)["rouge_l"].p < 0.02, paired_tests(good, good)["rouge_l"].p
    (True, 1.0)

    Scores of queries are measures by `mean_of`:

    >>> from ofakit.scores.score import mean_of
    >>> first, second = mean_of(np.linspace(0.0, 0.5, 40)), mean_of(np.linspace(0.1, 0.5, 40))
    >>> found = paired_tests({"mrr": first}, {"mrr": second})["mrr"]
    >>> round(found.difference, 2), found.p < 0.001
    (0.05, True)
    """
    if rounds < 1:
        raise UsageError(f"paired test: expected 1 round or more, found {rounds}")
    names = [name for name in first if name in second]
    ours, columns = _side_by_side({name: first[name] for name in names})
    theirs, _ = _side_by_side({name: second[name] for name in names})
    if len(ours) != len(theirs):
        raise UsageError(f"paired test: expected the same items, found {len(ours)} and {len(theirs)}")
    observed = {name: second[name].corpus - first[name].corpus for name in names}
    as_large = dict.fromkeys(names, 0)
    generator = np.random.default_rng(seed)
    for rows in _blocks(rounds, len(ours)):
        moved = generator.integers(0, 2, size=(rows, len(ours)), dtype=np.int8).astype(np.float64) @ (theirs - ours)
        swapped_first, swapped_second = ours.sum(axis=0) + moved, theirs.sum(axis=0) - moved
        for name in names:
            where, combine = columns[name], first[name].combine
            found = combine(swapped_second[:, where]) - combine(swapped_first[:, where])
            as_large[name] += int((np.abs(found) >= abs(observed[name]) - 1e-12).sum())
    return {name: Difference(observed[name], (1 + as_large[name]) / (1 + rounds)) for name in names}


def _side_by_side(measures: Mapping[str, Measure]) -> tuple[np.ndarray, dict[str, slice]]:
    """All statistics as the columns of one array, shared ones only once, and the columns of each measure."""
    places: dict[int, slice] = {}
    parts: list[np.ndarray] = []
    used = 0
    for found in measures.values():
        if id(found.statistics) not in places:
            places[id(found.statistics)] = slice(used, used + found.statistics.shape[1])
            parts.append(found.statistics)
            used += found.statistics.shape[1]
    if not parts:
        raise UsageError("expected at least one measure; in a paired test, one of each system; found none")
    if len({len(part) for part in parts}) > 1:
        raise UsageError(f"expected measures of the same items, found {sorted({len(part) for part in parts})} items")
    return np.hstack(parts), {name: places[id(found.statistics)] for name, found in measures.items()}


def _blocks(rows: int, items: int) -> Iterator[int]:
    """`rows` in pieces that keep a (rows, items) array small."""
    size = max(1, _BLOCK // items)
    while rows > 0:
        yield min(size, rows)
        rows -= size
