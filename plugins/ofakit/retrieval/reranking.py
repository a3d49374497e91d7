"""The best passages of a run, put into the order that a slower model has for them.

    reranked = rerank(run, queries, base, load_pair_scorer("CROSS_ENCODER"), depth=50)

The first `depth` passages of each ranking get the model's scores. What is beyond them, and what the model cannot score,
follows in its former order with scores just below, so that nothing is lost.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ofakit.data.passage_base import PassageBase
from ofakit.data.query import Query
from ofakit.errors import UsageError
from ofakit.progress import followed
from ofakit.retrieval.pair_scorers import PairScorer
from ofakit.retrieval.run import Run

if TYPE_CHECKING:
    from ofakit.processes import Processes

__all__ = ["rerank"]

_QUERIES = 16
"""Whose passages are scored together: the same ones however many processes there are, since a model's last digits
depend on what it is batched with."""


def rerank(
    run: Run,
    queries: Sequence[Query],
    base: PassageBase,
    scorer: PairScorer,
    depth: int = 50,
    processes: Processes | None = None,
    name: str = "reranked",
) -> Run:
    """Rerank the best passages of each ranking.

    Args:
        run: The rankings; a query without one keeps none.
        queries: What was asked.
        base: The passages.
        scorer: How well a passage answers a question.
        depth: How many of each ranking it scores, from 1 up.
        processes: Those that share the work; every one gets the whole run.
        name: What the new run is called.

    Returns:
        Rankings of the same passages.

    Raises:
        UsageError: `depth` is below 1, or the base lacks a passage.
    """
    if depth < 1:
        raise UsageError(f"rerank: expected a depth of at least 1 passage, found {depth}", "depth")
    blocks = [queries[start : start + _QUERIES] for start in range(0, len(queries), _QUERIES)]
    rank, world_size = (0, 1) if processes is None else (processes.rank, processes.world_size)
    mine = followed(blocks[rank::world_size], "reranking", "blocks", shown=rank == 0)
    found = {
        query: scores for block in mine for query, scores in _rerank_block(run, block, base, scorer, depth).items()
    }
    shares = [found] if processes is None else processes.gather(found)
    joined = {query: scores for share in shares for query, scores in share.items()}
    return Run({query.id: joined[query.id] for query in queries}, name)


def _rerank_block(
    run: Run, queries: Sequence[Query], base: PassageBase, scorer: PairScorer, depth: int
) -> dict[str, dict[str, float]]:
    """The new scores of some queries, whose pairs are scored together."""
    best = {query.id: run.ranking(query.id)[:depth] for query in queries}
    pairs = [(query, base[base.position(passage)]) for query in queries for passage in best[query.id]]
    scores = scorer(pairs).tolist() if pairs else []
    found, start = {}, 0
    for query in queries:
        own = scores[start : start + len(best[query.id])]
        start += len(own)
        known = {passage: score for passage, score in zip(best[query.id], own, strict=True) if not np.isnan(score)}
        found[query.id] = _with_rest(known, run.get(query.id, {}))
    return found


def _with_rest(known: Mapping[str, float], before: Mapping[str, float]) -> dict[str, float]:
    """The scores with those of the former ranking below them, as far apart as they were."""
    rest = {passage: score for passage, score in before.items() if passage not in known}
    if not known or not rest:
        return dict(known or rest)
    shift = min(known.values()) - 1 - max(rest.values())
    return {**known, **{passage: score + shift for passage, score in rest.items()}}
