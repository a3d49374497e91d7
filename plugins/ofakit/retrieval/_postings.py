"""Which documents have the words of a query, added up word by word: the search of a sparse index.

An index is a matrix of weights, documents by words, kept word by word (compressed sparse columns). The score of a
document is the sum of its weights for the words of the query, and a document without any of them has no score: it is
never returned to fill up k.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from numba import njit

__all__ = ["Postings", "search_postings"]

_LEAST_PER_THREAD = 64


class Postings(NamedTuple):
    """The weights of words in documents.

    Attributes:
        weights: Float32, shape (entries,), not negative.
        documents: Int32, shape (entries,): the number of the document of each entry.
        bounds: Int64, shape (words + 1,): entries `bounds[w]:bounds[w + 1]` are those of word w.
        total: How many documents there are.
    """

    weights: np.ndarray
    documents: np.ndarray
    bounds: np.ndarray
    total: int


def search_postings(
    postings: Postings, queries: Sequence[np.ndarray], k: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The best documents of each query, on as many threads as OMP_NUM_THREADS says, else as there are cores.

    Args:
        postings: What is searched.
        queries: The numbers of the words of each query, int64; a word that occurs twice counts twice.
        k: How many documents are wanted.

    Returns:
        Rows, those of a query together and best first: the number of the query and that of the document, int64, and the
        score, float32 and above 0, each of shape (rows,). For each query there are all documents that score at least as
        high as the k-th best, so that whoever breaks ties has them all.
    """
    k = max(1, min(k, postings.total))
    threads = max(1, min(_threads(), len(queries) // _LEAST_PER_THREAD))
    shares = [range(start, len(queries), threads) for start in range(threads)]
    if threads == 1:
        parts = [_search_share(postings, queries, shares[0], k)]
    else:
        with ThreadPoolExecutor(threads) as pool:
            parts = list(pool.map(lambda share: _search_share(postings, queries, share, k), shares))
    rows, documents, scores = (np.concatenate(column) for column in zip(*parts, strict=True))
    return rows, documents, scores


def _threads() -> int:
    wanted = os.environ.get("OMP_NUM_THREADS", "")
    return int(wanted) if wanted.isdecimal() else os.cpu_count() or 1


def _search_share(
    postings: Postings, queries: Sequence[np.ndarray], share: range, k: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The rows of some of the queries."""
    sums, passed = np.zeros(postings.total, dtype=np.float32), np.zeros(postings.total, dtype=np.int64)
    found = [_best(*postings[:3], queries[number], k, sums, passed) for number in share]
    lengths = [len(scores) for _, scores in found]
    return (
        np.repeat(np.array(share, dtype=np.int64), lengths),
        np.concatenate([np.zeros(0, dtype=np.int64), *(documents for documents, _ in found)]),
        np.concatenate([np.zeros(0, dtype=np.float32), *(scores for _, scores in found)]),
    )


@njit(cache=True, nogil=True)
def _best(
    weights: np.ndarray,
    documents: np.ndarray,
    bounds: np.ndarray,
    words: np.ndarray,
    k: int,
    sums: np.ndarray,
    passed: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """The documents that score at least as high as the k-th best, and their scores.

    `sums` are zeros, and are again afterwards; `passed` has room for the number of each document.
    """
    for word in words:
        for entry in range(bounds[word], bounds[word + 1]):
            sums[documents[entry]] += weights[entry]
    best, least, count = np.zeros(k, dtype=np.float32), np.float32(0), 0
    for document in range(len(sums)):
        value = sums[document]
        if value >= least and value > 0:
            passed[count] = document
            count += 1
            if value > least:
                _replace_least(best, value)
                least = best[0]
    kept = 0
    for document in passed[:count]:
        if sums[document] >= least:
            passed[kept] = document
            kept += 1
    scores = sums[passed[:kept]]
    sums[:] = 0
    order = np.argsort(-scores, kind="mergesort")
    return passed[:kept][order], scores[order]


@njit(cache=True, nogil=True)
def _replace_least(heap: np.ndarray, value: np.float32) -> None:
    """Put a value in place of the least, which a heap has first."""
    place, child = 0, 1
    while child < len(heap):
        if child + 1 < len(heap) and heap[child + 1] < heap[child]:
            child += 1
        if heap[child] >= value:
            break
        heap[place] = heap[child]
        place, child = child, 2 * child + 1
    heap[place] = value
