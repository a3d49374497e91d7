"""Exact search of vectors in memory; never a reversed ranking."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ofakit.data.passage import Passage
from ofakit.errors import ModelNotFinite
from ofakit.inference.embedder import Prepared
from ofakit.processes import Processes
from ofakit.retrieval.searchers.base import SearchContext
from ofakit.retrieval.vector_search import VectorSearch, embed_all

METRICS = ("ip", "cosine", "l2")


def random_vectors(n, seed=0, width=7):
    return np.random.default_rng(seed).standard_normal((n, width)).astype(np.float32)


def similarity(metric, query, vectors):
    """By definition, in double precision."""
    query, vectors = query.astype(np.float64), vectors.astype(np.float64)
    if metric == "l2":
        return -((vectors - query) ** 2).sum(1)
    if metric == "cosine":
        query, vectors = query / np.linalg.norm(query), vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors @ query


@pytest.mark.parametrize("metric", METRICS)
def test_rankings_are_those_of_the_definition(metric):
    vectors, asked = random_vectors(50), random_vectors(5, 1)
    scores, rows = VectorSearch(vectors, metric).search(asked, 10)
    for query, own_scores, own_rows in zip(asked, scores, rows, strict=True):
        expected = similarity(metric, query, vectors)
        assert own_rows.tolist() == np.argsort(-expected)[:10].tolist()
        np.testing.assert_allclose(own_scores, expected[own_rows], rtol=1e-4, atol=1e-4)
        assert (np.diff(own_scores) <= 0).all()


@pytest.mark.parametrize("metric", ["cosine", "l2"])
@given(seed=st.integers(0, 1000))
def test_a_planted_self_query_is_first(metric, seed):
    vectors = random_vectors(40, seed)
    _, rows = VectorSearch(vectors, metric).search(vectors, 3)
    assert rows[:, 0].tolist() == list(range(40))


@pytest.mark.parametrize("metric", METRICS)
def test_precision_does_not_rise_with_k_on_planted_data(metric):
    """Queries near ten of a hundred vectors: the nearest are right, and those that follow are not."""
    centre, noise = random_vectors(1, 5) * 3, random_vectors(100, 6) * 0.1
    vectors = noise + np.where(np.arange(100)[:, None] < 10, centre, -centre)
    _, rows = VectorSearch(vectors, metric).search(centre, 50)
    precision = [(rows[0, :k] < 10).mean() for k in (1, 5, 10, 20, 50)]
    assert precision[0] == 1 and precision == sorted(precision, reverse=True) and precision[-1] == 0.2


def test_ties_stand_in_the_order_of_rows_whatever_k():
    vectors = np.array([[1.0], [2.0], [1.0], [2.0], [1.0]], np.float32)
    for k in range(1, 6):
        assert VectorSearch(vectors).search(np.ones((1, 1), np.float32), k)[1].tolist() == [[1, 3, 0, 2, 4][:k]]


def test_more_than_there_are_gives_all_and_nothing_gives_none():
    scores, rows = VectorSearch(random_vectors(3)).search(random_vectors(2, 1), 9)
    assert scores.shape == rows.shape == (2, 3)
    assert VectorSearch(random_vectors(3)).search(random_vectors(0), 2)[1].shape == (0, 2)


class Pretended:
    """Embeds a passage as its text's length and number, and looks at what it is given."""

    side, dimension = "passage", 2

    def __init__(self):
        self.batches = []

    def prepare(self, items):
        return [Prepared({"item": i}, len(i.text), "broken" if i.text == "bad" else None) for i in items]

    def embed_prepared(self, prepared):
        self.batches.append([entry.length for entry in prepared])
        return np.array([[p.length, np.nan if p.sample["item"].text == "nan" else 1] for p in prepared], np.float32)


def passages(*texts):
    return [Passage(str(place), text) for place, text in enumerate(texts)]


def test_items_are_encoded_by_length_and_come_back_in_their_order():
    embedder = Pretended()
    found = embed_all(embedder, passages("aaaa", "a", "aaa", "aa"), SearchContext(batch_size=2))
    assert embedder.batches == [[1, 2], [3, 4]]
    assert found.vectors[:, 0].tolist() == [4, 1, 3, 2] and found.places.tolist() == [0, 1, 2, 3]


def test_what_cannot_be_read_is_left_out_with_a_warning(caplog):
    found = embed_all(Pretended(), passages("aa", "bad", "a"), SearchContext())
    assert found.places.tolist() == [0, 2] and found.vectors[:, 0].tolist() == [2, 1]
    assert "left out 1 of 3 passage texts or images, such as that of '1': broken" in caplog.text


def test_a_vector_that_is_not_finite_is_an_error_with_its_passage():
    with pytest.raises(ModelNotFinite, match="the vector of passage '1' is not finite"):
        embed_all(Pretended(), passages("aa", "nan"), SearchContext())


def test_processes_share_the_work_and_get_all():
    items = passages("aaa", "a", "bad", "aaaa", "aa")
    shares = {}

    def as_rank(rank, gathered):
        processes = SimpleNamespace(rank=rank, world_size=2, gather=gathered)
        return embed_all(Pretended(), items, SearchContext(processes=processes))

    for rank in (0, 1):
        with pytest.raises(StopIteration):
            as_rank(rank, lambda share, rank=rank: shares.__setitem__(rank, share) or next(iter(())))
    found = as_rank(0, lambda share: [shares[0], shares[1]])
    alone = embed_all(Pretended(), items, SearchContext(processes=Processes(0, 1, "cpu")))
    assert found.places.tolist() == alone.places.tolist() == [0, 1, 3, 4]
    np.testing.assert_array_equal(found.vectors, alone.vectors)
