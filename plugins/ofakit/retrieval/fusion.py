"""Late fusion: the runs of several searchers become one, by a weighted sum of their normalised scores.

    {"retrieval": {"fusion": {"of": ["bm25", "dense"], "normalization": "zscore", "missing": "minimum",
                              "weights": {"bm25": 0.3, "dense": 0.7}}}}

    fused = fuse({"bm25": bm25, "dense": dense}, section)

| method | score of a passage |
|---|---|
| `weighted_sum` | the sum over runs of weight · normalised score |
| `mnz` | that, times the number of runs that found the passage (CombMNZ, Fox & Shaw 1994) |
| `rrf` | the sum over runs of weight / (60 + rank) (Cormack et al. 2009, https://doi.org/10.1145/1571941.1572114) |

| normalization | of a score s |
|---|---|
| `zscore` | (s - μ) / σ, both over all queries of the run, as in ViQuAE (Lerner et al. 2022, `gzmuv`) |
| `zscore_per_query` | (s - μ) / σ over the passages of its query |
| `min_max` | (s - min) / (max - min) of its query |
| `rank` | 1 - (rank - 1) / n, for n passages of its query |
| `none` | s |

A passage that a run lacks gets the lowest score of its query there, before anything is normalised (`minimum`), so that
it counts in μ and σ as if it had been retrieved; or 0 after normalising (`zero`, as ranx has it). A run without any
passage for a query gives 0 to all. σ and max - min are at least 1e-9. `fit_weights` finds weights on val.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ofakit.errors import UsageError, did_you_mean
from ofakit.retrieval.run import Run

if TYPE_CHECKING:
    from ofakit.config.retrieval import FusionSection

__all__ = ["JoinedRuns", "chosen_runs", "fuse", "join_runs", "summand_factors"]

_RRF_CONSTANT = 60
_SMALLEST = 1e-9


class JoinedRuns(NamedTuple):
    """Every pair of a query and a passage that one of several runs has, query by query and there by passage id.

    Attributes:
        names: Of the runs, sorted.
        queries: The ids of the queries, sorted.
        passages: The ids of the passages, sorted.
        bounds: Int64, shape (queries + 1,): pairs `bounds[i]:bounds[i + 1]` are those of query i.
        places: Int64, shape (pairs,): where in `passages` the passage of each pair is.
        found: Bool, shape (runs, pairs): which runs have the pair.
        scores: Float64, shape (runs, pairs): what each run adds to the pair with a weight of 1.
    """

    names: list[str]
    queries: list[str]
    passages: list[str]
    bounds: np.ndarray
    places: np.ndarray
    found: np.ndarray
    scores: np.ndarray

    @property
    def rows(self) -> np.ndarray:
        """The number of the query of each pair, int64, shape (pairs,)."""
        return np.repeat(np.arange(len(self.queries)), np.diff(self.bounds))


def fuse(runs: Mapping[str, Run], section: FusionSection, name: str = "fused") -> Run:
    """Join runs. Their order does not matter.

    Args:
        runs: By the name that `section` calls them by.
        section: Which of them, how, and with which weights. RRF without weights counts each run once.
        name: What the new run is called.

    Returns:
        All passages of all runs; `Run.cut` shortens the rankings.

    Raises:
        UsageError: A run or a weight is missing or unknown, or the method is unknown.

    >>> from ofakit.config.retrieval import FusionSection
    >>> runs = {"a": Run({"q": {"x": 3.0, "y": 1.0}}), "b": Run({"q": {"y": 8.0, "z": 4.0}})}
    >>> fuse(runs, FusionSection(normalization="min_max", weights={"a": 0.4, "b": 0.6}))["q"]
    {'y': 0.6, 'x': 0.4, 'z': 0.0}
    """
    chosen = chosen_runs(runs, section)
    weights = _checked_weights(section, sorted(chosen))
    joined = join_runs(chosen, section)
    scores = np.zeros(len(joined.places))
    for weight, summands in zip(map(weights.__getitem__, joined.names), joined.scores, strict=True):
        scores += weight * summands
    scores *= summand_factors(joined, section)
    return Run.from_rows(joined.queries, joined.rows, joined.passages, joined.places, scores, name)


def chosen_runs(runs: Mapping[str, Run], section: FusionSection) -> dict[str, Run]:
    """The runs that are to be joined.

    Args:
        runs: All of them, by name.
        section: `of` names them; None means all.

    Raises:
        UsageError: One is missing, there are fewer than two, or none is to be joined.
    """
    if section.method == "none":
        raise UsageError("retrieval.fusion.method is 'none': expected a way to fuse runs, such as 'weighted_sum'")
    names = list(runs) if section.of is None else section.of
    for name in names:
        if name not in runs:
            raise UsageError(f"retrieval.fusion.of: unknown searcher {name!r}: {did_you_mean(name, runs)}", "of")
    if len(set(names)) < 2:
        raise UsageError(f"expected two runs or more to fuse, found {', '.join(map(repr, names)) or 'none'}")
    return {name: runs[name] for name in names}


def join_runs(runs: Mapping[str, Run], section: FusionSection) -> JoinedRuns:
    """Bring runs onto the same pairs of query and passage, with scores that can be summed.

    Args:
        runs: By name.
        section: How scores are normalised, and what a run gives to passages that it lacks.
    """
    names = sorted(runs)
    queries = sorted({query for run in runs.values() for query in run})
    passages = sorted({run.passages[place] for run in runs.values() for place in _distinct(run.places).tolist()})
    keys = [_keys(runs[name], queries, passages) for name in names]
    pairs = _distinct(np.concatenate(keys))
    bounds = np.searchsorted(pairs, np.arange(len(queries) + 1) * len(passages))
    found = np.zeros((len(names), len(pairs)), dtype=bool)
    scores = np.zeros((len(names), len(pairs)))
    joined = JoinedRuns(names, queries, passages, bounds, pairs % max(len(passages), 1), found, scores)
    for number, name in enumerate(names):
        where = np.searchsorted(pairs, keys[number])
        found[number, where] = True
        scores[number] = _summands(runs[name], where, joined, number, section)
    return joined


def summand_factors(joined: JoinedRuns, section: FusionSection) -> np.ndarray:
    """What the weighted sum of each pair is multiplied with.

    Args:
        joined: What the runs give.
        section: How it is put together.

    Returns:
        Float64, shape (pairs,).
    """
    found = joined.found.sum(axis=0, dtype=np.float64)
    return found if section.method == "mnz" else np.ones_like(found)


def _checked_weights(section: FusionSection, names: list[str]) -> dict[str, float]:
    """The weights of the configuration; 1 each for RRF without any."""
    if section.weights is None:
        if section.method == "rrf":
            return dict.fromkeys(names, 1.0)
        raise UsageError(
            "retrieval.fusion.weights: expected a weight for each run, found none; set them, or fit them on val"
        )
    for name in section.weights:
        if name not in names:
            raise UsageError(f"retrieval.fusion.weights: unknown searcher {name!r}: {did_you_mean(name, names)}", name)
    for name in names:
        if name not in section.weights:
            raise UsageError(f"retrieval.fusion.weights: expected a weight for {name!r}, found none; 0 leaves it out")
    return section.weights


def _keys(run: Run, queries: list[str], passages: list[str]) -> np.ndarray:
    """Query and passage of each row of a run as one number, int64, shape (rows,)."""
    query_of = {query: number for number, query in enumerate(queries)}
    passage_of = {passage: number for number, passage in enumerate(passages)}
    rows = np.repeat(np.fromiter(map(query_of.__getitem__, run), np.int64, len(run)), np.diff(run.bounds))
    number_of = np.zeros(len(run.passages), dtype=np.int64)
    used = _distinct(run.places)
    number_of[used] = [passage_of[run.passages[place]] for place in used.tolist()]
    return rows * len(passages) + number_of[run.places]


def _distinct(numbers: np.ndarray) -> np.ndarray:
    """The numbers in order, each once; for millions of them faster than `np.unique`, which hashes."""
    ordered = np.sort(numbers)
    return ordered[np.append(True, np.diff(ordered) > 0)] if len(ordered) else ordered


def _summands(run: Run, where: np.ndarray, joined: JoinedRuns, number: int, section: FusionSection) -> np.ndarray:
    """What a run adds to each pair, float64, shape (pairs,); `where` are the pairs of its rows."""
    scores = np.zeros(len(joined.places))
    lengths = np.diff(run.bounds)
    rank = np.arange(1, len(where) + 1) - np.repeat(run.bounds[:-1], lengths)
    if section.method == "rrf":
        scores[where] = 1.0 / (_RRF_CONSTANT + rank)
        return scores
    ranked = section.normalization == "rank"
    scores[where] = 1.0 - (rank - 1) / np.repeat(lengths, lengths) if ranked else run.scores
    present = joined.found[number]
    if section.missing == "minimum":
        present = _fill_with_minimum(scores, present, joined.bounds)
    normalised = scores if ranked else _normalised(scores, present, joined.bounds, section.normalization)
    return np.where(present, normalised, 0.0)


def _fill_with_minimum(scores: np.ndarray, found: np.ndarray, bounds: np.ndarray) -> np.ndarray:
    """Give pairs without a score, in place, the lowest of their query; return which pairs have a score then."""
    lowest = np.repeat(_over_queries(np.minimum, np.where(found, scores, np.inf), bounds), np.diff(bounds))
    filled = ~found & np.isfinite(lowest)
    scores[filled] = lowest[filled]
    return found | filled


def _normalised(scores: np.ndarray, present: np.ndarray, bounds: np.ndarray, normalization: str) -> np.ndarray:
    """Normalise the scores of one run; what is not present does not count."""
    if normalization == "none" or not present.any():
        return scores
    if normalization == "zscore":
        return (scores - scores[present].mean()) / max(scores[present].std(), _SMALLEST)
    repeats = np.diff(bounds)
    if normalization == "min_max":
        low = np.repeat(_over_queries(np.minimum, np.where(present, scores, np.inf), bounds), repeats)
        high = np.repeat(_over_queries(np.maximum, np.where(present, scores, -np.inf), bounds), repeats)
        return (scores - low) / np.maximum(high - low, _SMALLEST)
    count = np.maximum(_over_queries(np.add, present.astype(np.float64), bounds), 1.0)
    mean = np.repeat(_over_queries(np.add, np.where(present, scores, 0.0), bounds) / count, repeats)
    variance = _over_queries(np.add, np.where(present, (scores - mean) ** 2, 0.0), bounds) / count
    return (scores - mean) / np.repeat(np.maximum(np.sqrt(variance), _SMALLEST), repeats)


def _over_queries(operation: np.ufunc, values: np.ndarray, bounds: np.ndarray) -> np.ndarray:
    """Sum, minimum or maximum over the pairs of each query, shape (queries,); 0 for a query without a pair."""
    results = np.zeros(len(bounds) - 1)
    some = np.flatnonzero(np.diff(bounds))
    if len(some):
        results[some] = operation.reduceat(values, bounds[some])
    return results
