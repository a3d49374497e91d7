"""A hit of an article becomes its passages."""

from __future__ import annotations

import numpy as np
from ofakit.data.knowledge_base import KnowledgeBase
from ofakit.data.passage import Passage
from ofakit.retrieval.articles import ARTICLE_STEP, expand_articles, representatives

BASE = KnowledgeBase([
    Passage("a0", "x", article="a"), Passage("a1", None, image="a.png", article="a"), Passage("a2", "y", article="a"),
    Passage("b0", "z", article="b"), Passage("c", "w", image="c.png"),
])  # fmt: skip


def test_passages_follow_in_their_order_and_articles_keep_theirs():
    places, scores = expand_articles(BASE, ["c", "a", "b"], np.array([3.0, 2.0, 2.0 - 1e-6]), 10)
    assert [BASE[place].id for place in places] == ["c", "a0", "a1", "a2", "b0"]
    assert (np.diff(scores) < 0).all()
    np.testing.assert_allclose(scores[1:4], 2.0 - ARTICLE_STEP * np.arange(3), rtol=0, atol=1e-15)


def test_no_more_than_k_passages():
    for k in range(1, 6):
        places, scores = expand_articles(BASE, ["a", "b", "c"], [3.0, 2.0, 1.0], k)
        assert len(places) == len(scores) == k
    places, scores = expand_articles(BASE, [], [], 3)
    assert places.shape == scores.shape == (0,)


def test_an_article_is_represented_by_its_first_passage_that_has_what_is_searched_by():
    for modalities, expected in (
        (["image"], ["a1", "c"]),
        (["text"], ["a0", "b0", "c"]),
        (["text", "image"], ["c"]),
    ):
        assert [BASE[place].id for place in representatives(BASE, modalities).tolist()] == expected
    assert representatives(KnowledgeBase([]), ["text"]).shape == (0,)
