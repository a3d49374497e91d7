"""The weights of a fusion that are best on val, by a grid over all weights that add up to 1.

    weights = fit_weights({"bm25": bm25, "dense": dense}, qrels, section)      {"bm25": 0.35, "dense": 0.65}

The grid has steps of 0.1, or coarser ones where more than five runs would make too many points of it; from the best
point, weight is moved from one run to another in steps of 0.1 and then 0.05 as long as that helps. Of equally good
weights the most even ones win. Nothing is drawn at random.

Fused rankings are never sorted for this: the score of a ranking depends only on the ranks of judged passages, and the
rank of a passage is one more than the number of those with a higher score.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import combinations, permutations
from math import comb

import numpy as np
from numba import njit

from ofakit.config.retrieval import FusionSection
from ofakit.retrieval.evaluation import check_judged, check_metrics
from ofakit.retrieval.fusion import JoinedRuns, chosen_runs, join_runs, summand_factors
from ofakit.retrieval.qrels import Qrels
from ofakit.retrieval.run import Run
from ofakit.scores.ranking import judge_ranks, padded, parse_score

__all__ = ["fit_weights"]

_UNITS = 20
"""Weights are multiples of 1 / 20."""

_MOST_POINTS = 2000
_AT_ONCE = 64


def fit_weights(runs: Mapping[str, Run], qrels: Qrels, section: FusionSection) -> dict[str, float]:
    """Find the weights with which fused runs score highest.

    Args:
        runs: By name, of the split to fit on.
        qrels: The relevant passages of its queries.
        section: How runs are joined, and the score that counts (`fitted_by`).

    Returns:
        The weight of each run; they are multiples of 0.05 and add up to 1.

    Raises:
        UsageError: As `fuse` and `evaluate`.

    >>> good, poor = Run({"q": {"y": 3.0, "x": 1.0}}), Run({"q": {"x": 3.0, "y": 1.0}})
    >>> fit_weights({"poor": poor, "good": good}, Qrels({"q": {"y": 1}}), FusionSection())
    {'poor': 0.45, 'good': 0.55}
    """
    chosen = chosen_runs(runs, section)
    check_metrics([section.fitted_by], qrels)
    for name, run in chosen.items():
        check_judged(run.queries, qrels, f"run {name!r}")
    search = _Search(join_runs(chosen, section), qrels, section)
    best = search.best(_grid(len(chosen)))
    for step in (_UNITS // 10, 1):
        best = search.climb(best, step)
    found = dict(zip(sorted(chosen), best, strict=True))
    return {name: found[name] / _UNITS for name in chosen}


class _Search:
    """Finds the best of some weights, given as numbers of units: those with the highest score, then the most even.

    Args:
        joined: The runs.
        qrels: The relevant passages.
        section: How the runs are put together, and which score counts.
    """

    def __init__(self, joined: JoinedRuns, qrels: Qrels, section: FusionSection) -> None:
        self._compute = parse_score(section.fitted_by).compute
        self._pairs, self._rows, self._gains = _judged_pairs(joined, qrels)
        self._counts = np.bincount(self._rows, minlength=len(qrels))
        lengths = dict(zip(joined.queries, np.diff(joined.bounds).tolist(), strict=True))
        in_order = np.array([lengths.get(query, 0) for query in qrels], dtype=np.int64)
        nothing = np.zeros((len(qrels), 0))
        self._judged = judge_ranks(nothing, nothing, in_order, list(qrels.values()))
        factors = summand_factors(joined, section)
        self._fixed = joined.scores, factors, joined.bounds, self._pairs
        self._values: dict[tuple[int, ...], tuple[float, int]] = {}

    def best(self, points: Iterable[tuple[int, ...]]) -> tuple[int, ...]:
        """The best of these points."""
        points = list(points)
        new = [point for point in points if point not in self._values]
        for start in range(0, len(new), _AT_ONCE):
            some = new[start : start + _AT_ONCE]
            for point, ranks in zip(some, _ranks(*self._fixed, np.array(some) / _UNITS), strict=True):
                self._values[point] = self._score(ranks), -sum(weight * weight for weight in point)
        return max(points, key=self._values.__getitem__)

    def climb(self, best: tuple[int, ...], step: int) -> tuple[int, ...]:
        """The best point that moving `step` units from one run to another leads to, again and again."""
        while True:
            nearby = [
                tuple(weight + step * ((run == to) - (run == source)) for run, weight in enumerate(best))
                for source, to in permutations(range(len(best)), 2)
                if best[source] >= step
            ]
            better = self.best([best, *nearby])
            if better == best:
                return best
            best = better

    def _score(self, ranks: np.ndarray) -> float:
        """The mean score, rounded so that the order in which numbers are added up decides nothing."""
        order = np.lexsort((ranks, self._rows))
        gains = padded(self._gains[order], self._counts, 0.0)
        judged = self._judged._replace(ranks=padded(ranks[order], self._counts, np.inf), gains=gains)
        return round(float(self._compute(judged).mean()), 12)


def _judged_pairs(joined: JoinedRuns, qrels: Qrels) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The pairs that were judged, the number of their query in the qrels, and their gains."""
    place_of = {passage: place for place, passage in enumerate(joined.passages)}
    query_of = {query: number for number, query in enumerate(joined.queries)}
    wanted = [
        (query_of[query] * len(place_of) + place_of[passage], row, gain)
        for row, (query, known) in enumerate(qrels.items())
        for passage, gain in known.items()
        if query in query_of and passage in place_of
    ]
    keys, rows, gains = (
        (np.array(column) for column in zip(*sorted(wanted), strict=True)) if wanted else [np.zeros(0)] * 3
    )
    pairs = joined.rows * len(place_of) + joined.places
    where = np.searchsorted(pairs, keys)
    there = np.append(pairs, -1)[where] == keys
    return where[there], rows[there].astype(np.int64), gains[there].astype(np.float64)


@njit(cache=True)
def _ranks(
    scores: np.ndarray, factors: np.ndarray, bounds: np.ndarray, judged: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """The ranks of judged pairs among those of their query under each weighting.

    Args:
        scores: Float64, shape (runs, pairs).
        factors: Float64, shape (pairs,).
        bounds: Int64, shape (queries + 1,).
        judged: Int64, shape (judged,): pairs, ascending.
        weights: Float64, shape (weightings, runs).

    Returns:
        Float64, shape (weightings, judged), from 1. Of equal scores the pair that stands first ranks higher.
    """
    ranks = np.empty((len(weights), len(judged)), dtype=np.float64)
    end = 0
    for query in range(len(bounds) - 1):
        first, last = bounds[query], bounds[query + 1]
        start = end
        while end < len(judged) and judged[end] < last:
            end += 1
        if start == end:
            continue
        total = np.empty(last - first, dtype=np.float64)
        for weighting in range(len(weights)):
            total[:] = 0.0
            for run in range(len(scores)):
                weight = weights[weighting, run]
                for pair in range(last - first):
                    total[pair] += weight * scores[run, first + pair]
            for pair in range(last - first):
                total[pair] *= factors[first + pair]
            for number in range(start, end):
                own, above = judged[number] - first, 0
                for pair in range(own):
                    above += total[pair] >= total[own]
                for pair in range(own + 1, last - first):
                    above += total[pair] > total[own]
                ranks[weighting, number] = above + 1
    return ranks


def _grid(runs: int) -> Iterator[tuple[int, ...]]:
    """All weights of so many runs that add up to `_UNITS`, in the finest steps that make few enough points."""
    step = next((s for s in (2, 4, 5, 10) if comb(_UNITS // s + runs - 1, runs - 1) <= _MOST_POINTS), _UNITS)
    parts = _UNITS // step
    for bars in combinations(range(parts + runs - 1), runs - 1):
        ends = (-1, *bars, parts + runs - 1)
        yield tuple(step * (end - start - 1) for start, end in zip(ends, ends[1:], strict=False))
