"""Exact search in NumPy, block after block of the memory map, in memory bound by a block.

    {"retrieval": {"index": {"engine": "exact", "metric": "cosine"}}}

It needs no building and takes vectors as they are. For a large base FAISS is faster.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ofakit.config.retrieval import IndexSection
from ofakit.retrieval.indexes.base import IndexEngine, normalized
from ofakit.retrieval.vector_files import Vectors

__all__ = ["ExactIndex", "merged_top"]

QUERIES = 1024
"""Queries whose scores are in memory at once."""
SPARE = 16
"""More candidates than asked for: distances from inner products are off by rounding, so the nearest are compared again
by their differences."""


class ExactIndex(IndexEngine):
    """Compares each query with every vector."""

    @classmethod
    def build(cls, folder: Path, vectors: Vectors, settings: IndexSection) -> None:
        """There is nothing to build.

        Args:
            folder: Stays empty.
            vectors: Of the index directory.
            settings: With the metric.
        """

    def search(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Find the nearest vectors.

        Args:
            queries: (n, d) float32, finite.
            k: From 1 to the number of vectors.

        Returns:
            Scores (n, k) float32, descending, and positions (n, k) int64; equal scores by position.
        """
        parts = [self._search(queries[first : first + QUERIES], k) for first in range(0, len(queries), QUERIES)]
        if not parts:
            return np.empty((0, k), np.float32), np.empty((0, k), np.int64)
        return np.concatenate([scores for scores, _ in parts]), np.concatenate([places for _, places in parts])

    def _search(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        metric = self.settings.metric
        wanted = min(k + SPARE, len(self.vectors)) if metric == "l2" else k
        scores = np.empty((len(queries), 0), np.float32)
        positions = np.empty((len(queries), 0), np.int64)
        compared = normalized(queries) if metric == "cosine" else queries
        for start, block in self.vectors.blocks():
            scores, positions = merged_top(scores, positions, _scores(compared, block, metric), start, wanted)
        return self._by_difference(queries, positions, k) if metric == "l2" else (scores, positions)

    def _by_difference(self, queries: np.ndarray, positions: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """The nearest k among candidates, by the distances themselves; a vector's distance to itself is 0."""
        scores = np.empty(positions.shape, np.float32)
        for row, (query, candidates) in enumerate(zip(queries, positions, strict=True)):
            difference = self.vectors.rows(candidates) - query
            scores[row] = -np.einsum("md,md->m", difference, difference)
        order = np.lexsort((positions, -scores), axis=1)[:, :k]
        return np.take_along_axis(scores, order, 1), np.take_along_axis(positions, order, 1)


def _scores(queries: np.ndarray, block: np.ndarray, metric: str) -> np.ndarray:
    """Scores (n, m) of all queries with the vectors of a block."""
    rows = normalized(block) if metric == "cosine" else np.asarray(block, np.float32)
    products = queries @ rows.T
    if metric == "l2":
        products *= 2
        products -= np.einsum("md,md->m", rows, rows)
    return products


def merged_top(
    scores: np.ndarray, positions: np.ndarray, found: np.ndarray, start: int, k: int
) -> tuple[np.ndarray, np.ndarray]:
    """The best k of those so far and of a further block.

    Args:
        scores: (n, j) float32 with j <= k, descending.
        positions: (n, j) int64 of those scores, all before `start`.
        found: (n, m) float32, the scores of the block.
        start: The position of its first vector.
        k: How many to keep.

    Returns:
        Scores and positions (n, min(k, j + m)), descending; equal scores by position.

    >>> scores, positions = np.array([[3.0, 1.0]], np.float32), np.array([[1, 0]])
    >>> merged_top(scores, positions, np.array([[1.0, 2.0]], np.float32), 2, 2)[1].tolist()
    [[1, 3]]
    """
    queries, have = scores.shape
    kept = min(k, have + found.shape[1])
    better = found > scores[:, -1:] if have == k else np.ones(found.shape, bool)
    if np.count_nonzero(better) > 2 * k * queries:
        better &= found >= _kth(found, k)
    rows, columns = np.nonzero(better)
    all_rows = np.concatenate([np.repeat(np.arange(queries), have), rows])
    all_scores = np.concatenate([scores.ravel(), found[rows, columns]])
    all_positions = np.concatenate([positions.ravel(), columns + start])
    order = np.lexsort((all_positions, -all_scores, all_rows))
    first = np.cumsum([0, *np.bincount(all_rows, minlength=queries)[:-1]])
    best = order[first[:, None] + np.arange(kept)]
    return all_scores[best], all_positions[best]


def _kth(found: np.ndarray, k: int) -> np.ndarray:
    """The k-th highest score of each row, (n, 1); the lowest where there are fewer."""
    if found.shape[1] <= k:
        return found.min(axis=1, keepdims=True)
    return np.partition(found, found.shape[1] - k, axis=1)[:, -k, None]
