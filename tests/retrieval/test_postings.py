"""The search of a sparse index: sums by hand, all ties at the cut, nothing without a word, any number of threads."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ofakit.retrieval._postings import Postings, search_postings


def postings_of(weights: np.ndarray) -> Postings:
    """An index from a dense matrix, documents by words."""
    words, documents = np.nonzero(weights.T)
    bounds = np.searchsorted(words, np.arange(weights.shape[1] + 1))
    return Postings(weights[documents, words].astype(np.float32), documents.astype(np.int32), bounds, len(weights))


def found(postings, queries, k):
    """The rows of each query, best first and ties by number."""
    rows, documents, scores = search_postings(postings, [np.array(query, dtype=np.int64) for query in queries], k)
    return [
        sorted(zip((-scores[rows == number]).tolist(), documents[rows == number].tolist(), strict=True))
        for number in range(len(queries))
    ]


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10_000), st.integers(1, 12), st.integers(1, 14))
def test_scores_are_sums_over_words(seed, documents, k):
    generator = np.random.default_rng(seed)
    weights = generator.integers(0, 3, (documents, 6)) / 2
    queries = [generator.integers(0, 6, size) for size in (0, 1, 3, 3, 6)]
    for query, rows in zip(queries, found(postings_of(weights), queries, k), strict=True):
        sums = weights[:, query].sum(axis=1)
        positive = sorted((-sums[document], document) for document in range(documents) if sums[document] > 0)
        least = -positive[min(k, len(positive)) - 1][0] if positive else 0
        assert rows == [(score, document) for score, document in positive if -score >= least]


def test_all_that_tie_at_the_cut_are_there():
    weights = np.array([[1.0], [3.0], [1.0], [0.0], [1.0]])
    (rows,) = found(postings_of(weights), [[0]], 2)
    assert rows == [(-3.0, 1), (-1.0, 0), (-1.0, 2), (-1.0, 4)]


def test_a_search_leaves_nothing_behind_for_the_next():
    postings = postings_of(np.array([[1.0, 0.0], [0.0, 2.0]]))
    assert found(postings, [[0], [1], [0, 1], [0]], 5) == [
        [(-1.0, 0)], [(-2.0, 1)], [(-2.0, 1), (-1.0, 0)], [(-1.0, 0)],
    ]  # fmt: skip


@pytest.mark.parametrize("threads", ["1", "2", "5", "nonsense"])
def test_threads_change_nothing(monkeypatch, threads):
    generator = np.random.default_rng(3)
    postings = postings_of(generator.integers(0, 3, (50, 20)) / 2)
    queries = [generator.integers(0, 20, 3) for _ in range(400)]
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    alone = found(postings, queries, 7)
    monkeypatch.setenv("OMP_NUM_THREADS", threads)
    assert found(postings, queries, 7) == alone


def test_no_documents_and_no_queries():
    empty = Postings(np.zeros(0, np.float32), np.zeros(0, np.int32), np.zeros(1, np.int64), 0)
    assert found(empty, [[], []], 3) == [[], []]
    rows, documents, scores = search_postings(postings_of(np.ones((2, 2))), [], 3)
    assert len(rows) == len(documents) == len(scores) == 0
