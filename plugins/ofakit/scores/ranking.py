"""Scores of rankings: MRR, precision, hit rate, recall, MAP, nDCG and their kin, equal to ranx's to 6 digits.

    judged = judge(rankings, gains)
    ranking_scores(judged, ["mrr@100", "map", "p@1", "hit@20", "ndcg@10"])      {name: (queries,) float64}

A name is that of a score and, behind `@`, how many passages of a ranking count: `p@20`, `recall@5`, `map`. ranx's long
names mean the same (`precision@20`, `hit_rate@20`), and a persistence stands behind a dot (`rbp.95`). A passage is
relevant if its gain is above 0. A query without a relevant passage has a score of 0, as trec_eval gives it.

Definitions: Järvelin & Kekäläinen 2002, https://doi.org/10.1145/582415.582418 (nDCG); Burges et al. 2005,
https://doi.org/10.1145/1102351.1102363 (its gain 2^g - 1); Buckley & Voorhees 2004,
https://doi.org/10.1145/1008992.1009000 (bpref); Moffat & Zobel 2008, https://doi.org/10.1145/1416950.1416952 (RBP).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import chain, repeat
from typing import NamedTuple

import numpy as np

from ofakit.errors import UsageError, did_you_mean

__all__ = [
    "Judged",
    "RankingScore",
    "average_precision",
    "bpref",
    "f1",
    "hit_rate",
    "judge",
    "judge_ranks",
    "ndcg",
    "padded",
    "parse_score",
    "precision",
    "r_precision",
    "rank_biased_precision",
    "ranking_scores",
    "recall",
    "reciprocal_rank",
]


class Judged(NamedTuple):
    """What is known of the passages of rankings.

    Attributes:
        ranks: Float64, shape (queries, m): the ranks, from 1 and ascending, of the passages in each ranking that were
            judged; behind them infinity.
        gains: Float64, shape (queries, m): the gains of these passages; behind them 0.
        lengths: Int64, shape (queries,): how many passages each ranking has.
        ideal: Float64, shape (queries, n): the gains above 0 of each query, the highest first; behind them 0.
        irrelevant: Int64, shape (queries,): how many passages were judged irrelevant.
    """

    ranks: np.ndarray
    gains: np.ndarray
    lengths: np.ndarray
    ideal: np.ndarray
    irrelevant: np.ndarray

    @property
    def relevant(self) -> np.ndarray:
        """How many passages are relevant to each query, int64, shape (queries,)."""
        return np.count_nonzero(self.ideal, axis=1)

    def hits(self, k: int | None = None) -> np.ndarray:
        """Which of the judged passages are relevant and among the first k, bool, shape (queries, m)."""
        return (self.gains > 0) & (self.ranks <= (np.inf if k is None else k))


class RankingScore(NamedTuple):
    """A score, as a name asks for it.

    Attributes:
        compute: Judged rankings → (queries,) float64.
        needs_all_relevant: Whether it is right only where every relevant passage is known.
        depth: How many passages of each ranking count; None: all.
    """

    compute: Callable[..., np.ndarray]
    needs_all_relevant: bool
    depth: int | None = None


def judge(rankings: Sequence[Sequence[str]], gains: Sequence[Mapping[str, float]]) -> Judged:
    """Look up the passages of rankings among those that were judged.

    Args:
        rankings: The ids of the passages of each query, best first.
        gains: For each query, the gain by passage id; 0 or less is judged irrelevant.

    Raises:
        UsageError: There are not as many rankings as queries.

    >>> judged = judge([["x", "b", "a"]], [{"a": 2.0, "b": 0.0, "c": 1.0}])
    >>> judged.ranks.tolist(), judged.gains.tolist(), judged.ideal.tolist()
    ([[2.0, 3.0]], [[0.0, 2.0]], [[2.0, 1.0]])
    """
    if len(rankings) != len(gains):
        raise UsageError(f"expected a ranking for each query, found {len(rankings)} rankings and {len(gains)} queries")
    lengths = np.fromiter(map(len, rankings), np.int64, len(rankings))
    looked_up = chain.from_iterable(
        map(known.get, ranking, repeat(np.nan)) for ranking, known in zip(rankings, gains, strict=True)
    )
    found = np.fromiter(looked_up, np.float64, lengths.sum())
    starts = np.cumsum(lengths) - lengths
    rows, ranks = (
        np.repeat(np.arange(len(lengths)), lengths),
        np.arange(1.0, len(found) + 1) - np.repeat(starts, lengths),
    )
    seen = ~np.isnan(found)
    counts = np.bincount(rows[seen], minlength=len(lengths))
    return judge_ranks(padded(ranks[seen], counts, np.inf), padded(found[seen], counts, 0.0), lengths, gains)


def judge_ranks(
    ranks: np.ndarray, gains: np.ndarray, lengths: np.ndarray, known: Sequence[Mapping[str, float]]
) -> Judged:
    """The same from the ranks of judged passages.

    Args:
        ranks: As in `Judged`.
        gains: As in `Judged`.
        lengths: As in `Judged`.
        known: For each query, the gain by passage id.
    """
    positive = [sorted((gain for gain in one.values() if gain > 0), reverse=True) for one in known]
    relevant = np.fromiter(map(len, positive), np.int64, len(positive))
    ideal = padded(np.fromiter(chain.from_iterable(positive), np.float64, relevant.sum()), relevant, 0.0)
    return Judged(ranks, gains, lengths, ideal, np.fromiter(map(len, known), np.int64, len(known)) - relevant)


def padded(flat: np.ndarray, counts: np.ndarray, filling: float) -> np.ndarray:
    """Rows of different lengths, one behind the other, as one array.

    Args:
        flat: Float64, shape (sum of counts,).
        counts: Int64, shape (rows,): the length of each row.
        filling: What stands behind the shorter rows.

    Returns:
        Float64, shape (rows, longest).
    """
    width = int(counts.max(initial=0))
    rows = np.full((len(counts), width), filling)
    rows[np.arange(width) < counts[:, None]] = flat
    return rows


def ranking_scores(judged: Judged, names: Sequence[str]) -> dict[str, np.ndarray]:
    """The scores of each query.

    Args:
        judged: What `judge` found.
        names: Such as `mrr@100`.

    Returns:
        By name as it was asked for: float64, shape (queries,), between 0 and 1.

    Raises:
        UsageError: There is no such score.

    >>> judged = judge([["a", "b"], ["x", "c"]], [{"a": 1.0, "d": 1.0}, {"c": 1.0}])
    >>> {name: values.tolist() for name, values in ranking_scores(judged, ["mrr", "recall@2", "p@1"]).items()}
    {'mrr': [1.0, 0.5], 'recall@2': [0.5, 1.0], 'p@1': [1.0, 0.0]}
    """
    return {name: parse_score(name).compute(judged) for name in names}


def reciprocal_rank(judged: Judged, k: int | None = None) -> np.ndarray:
    """One over the rank of the first relevant passage; 0 if there is none.

    Args:
        judged: The rankings.
        k: How many passages of each ranking count; None: all.

    Returns:
        Float64, shape (queries,); its mean is the mean reciprocal rank.
    """
    return (judged.hits(k) / judged.ranks).max(axis=1, initial=0.0)


def precision(judged: Judged, k: int | None = None) -> np.ndarray:
    """The share of the first k passages that is relevant; a shorter ranking counts as filled with irrelevant ones.

    Args:
        judged: The rankings.
        k: How many passages of each ranking count; None: as many as the ranking has.

    Returns:
        Float64, shape (queries,).
    """
    depth = np.maximum(judged.lengths, 1) if k is None else np.array(k)
    return judged.hits(k).sum(axis=1) / depth


def hit_rate(judged: Judged, k: int | None = None) -> np.ndarray:
    """1 if a relevant passage is among the first k, else 0.

    Args:
        judged: The rankings.
        k: How many passages of each ranking count; None: all.

    Returns:
        Float64, shape (queries,).
    """
    return np.any(judged.hits(k), axis=1).astype(np.float64)


def recall(judged: Judged, k: int | None = None) -> np.ndarray:
    """The share of the relevant passages that is among the first k.

    Args:
        judged: The rankings.
        k: How many passages of each ranking count; None: all.

    Returns:
        Float64, shape (queries,).
    """
    return judged.hits(k).sum(axis=1) / np.maximum(judged.relevant, 1)


def f1(judged: Judged, k: int | None = None) -> np.ndarray:
    """The harmonic mean of precision and recall: 2 · hits / (k + relevant).

    Args:
        judged: The rankings.
        k: How many passages of each ranking count; None: as many as the ranking has.

    Returns:
        Float64, shape (queries,).
    """
    depth = judged.lengths if k is None else k
    return 2.0 * judged.hits(k).sum(axis=1) / np.maximum(depth + judged.relevant, 1)


def average_precision(judged: Judged, k: int | None = None) -> np.ndarray:
    """The sum of the precisions at the ranks of relevant passages, over the number of relevant passages.

    Args:
        judged: The rankings.
        k: How many passages of each ranking count; None: all.

    Returns:
        Float64, shape (queries,); its mean is MAP.
    """
    hits = judged.hits(k)
    return (hits * hits.cumsum(axis=1) / judged.ranks).sum(axis=1) / np.maximum(judged.relevant, 1)


def ndcg(judged: Judged, k: int | None = None, exponential: bool = False) -> np.ndarray:
    """Gains over log2(rank + 1), summed, over the same sum of the ideal ranking.

    Args:
        judged: The rankings.
        k: How many passages of each ranking count, and of the ideal one; None: all.
        exponential: Gains are 2^gain - 1, as Burges et al. have them, and not the gains themselves.

    Returns:
        Float64, shape (queries,).
    """
    found, ideal = np.where(judged.hits(k), judged.gains, 0.0), judged.ideal[:, :k]
    if exponential:
        found, ideal = np.exp2(found) - 1, np.exp2(ideal) - 1
    best = (ideal / np.log2(np.arange(2, ideal.shape[1] + 2))).sum(axis=1)
    return (found / np.log2(judged.ranks + 1)).sum(axis=1) / np.where(best > 0, best, 1.0)


def r_precision(judged: Judged) -> np.ndarray:
    """Precision at as many passages as are relevant.

    Args:
        judged: The rankings.

    Returns:
        Float64, shape (queries,).
    """
    hits = judged.hits() & (judged.ranks <= judged.relevant[:, None])
    return hits.sum(axis=1) / np.maximum(judged.relevant, 1)


def bpref(judged: Judged) -> np.ndarray:
    """How few of the passages judged irrelevant stand above relevant ones; what nobody judged does not count.

    Sum over the relevant passages found of 1 - min(irrelevant above it, R) / min(R, N), over R, for R relevant and N
    irrelevant ones. Where N is 0 it is the recall, as trec_eval has it; ranx has NaN there.

    Args:
        judged: The rankings.

    Returns:
        Float64, shape (queries,).
    """
    relevant = judged.relevant[:, None]
    above = np.minimum((judged.gains <= 0).cumsum(axis=1), relevant)
    fewer = np.minimum(relevant, judged.irrelevant[:, None])
    parts = judged.hits() * (1.0 - above / np.maximum(fewer, 1))
    return parts.sum(axis=1) / np.maximum(judged.relevant, 1)


def rank_biased_precision(judged: Judged, persistence: float) -> np.ndarray:
    """(1 - p) times the sum of p^(rank - 1) over the ranks of relevant passages; ranx weighs them with their gains.

    Args:
        judged: The rankings.
        persistence: p, between 0 and 1: how likely a reader goes on to the next passage.

    Returns:
        Float64, shape (queries,).
    """
    return (1.0 - persistence) * (judged.hits() * persistence ** (judged.ranks - 1)).sum(axis=1)


_WITH_DEPTH: dict[str, RankingScore] = {
    "mrr": RankingScore(reciprocal_rank, False),
    "p": RankingScore(precision, False),
    "hit": RankingScore(hit_rate, False),
    "recall": RankingScore(recall, True),
    "f1": RankingScore(f1, True),
    "map": RankingScore(average_precision, True),
    "ndcg": RankingScore(ndcg, False),
    "ndcg_burges": RankingScore(partial(ndcg, exponential=True), False),
}
_WITHOUT_DEPTH = {"r-precision": RankingScore(r_precision, True), "bpref": RankingScore(bpref, True)}
_LONG_NAMES = {"precision": "p", "hit_rate": "hit"}
_AVAILABLE = [*_WITH_DEPTH, *_WITHOUT_DEPTH, *_LONG_NAMES, "rbp"]


def parse_score(name: str) -> RankingScore:
    """The score that a name asks for.

    Args:
        name: Such as `mrr@100`, `map`, `hit_rate@20`, `r-precision` or `rbp.95`.

    Raises:
        UsageError: There is no such score, or its number is missing, out of range or none that it takes.

    >>> parse_score("precision@20").compute(judge([["a"]], [{"a": 1.0}])).tolist()
    [0.05]
    """
    base, at, number = name.strip().lower().partition("@")
    if base == "rbp" or base.startswith("rbp."):
        return RankingScore(partial(rank_biased_precision, persistence=_persistence(name)), False)
    short = _LONG_NAMES.get(base, base)
    if short in _WITHOUT_DEPTH and not at:
        return _WITHOUT_DEPTH[short]
    if short not in _WITH_DEPTH:
        extra = f" {short} has no depth;" if short in _WITHOUT_DEPTH else ""
        raise UsageError(f"unknown score of rankings {name!r}:{extra} {did_you_mean(base, _AVAILABLE)}")
    score = _WITH_DEPTH[short]
    if not at:
        return score
    if not number.isdecimal() or int(number) < 1:
        raise UsageError(f"{name!r}: expected a depth of at least 1 after the @, such as {base}@10")
    return RankingScore(partial(score.compute, k=int(number)), score.needs_all_relevant, int(number))


def _persistence(name: str) -> float:
    digits = name.strip().lower().removeprefix("rbp.")
    if not digits.isdecimal():
        raise UsageError(f"{name!r}: expected a persistence between 0 and 1, such as rbp.95 for 0.95")
    return float(f"0.{digits}")
