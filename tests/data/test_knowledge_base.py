"""The passages of a base."""

from __future__ import annotations

import pytest
from ofakit.data.knowledge_base import KnowledgeBase
from ofakit.data.passage import Passage
from ofakit.errors import UsageError

PASSAGES = [Passage("a-0", article="a"), Passage("b-0", article="b"), Passage("a-1", article="a"), Passage("c")]


def test_passages_are_found_by_id_and_by_article():
    base = KnowledgeBase(PASSAGES)
    assert len(base) == 4 and list(base) == PASSAGES and base[1] is PASSAGES[1]
    assert base.position("a-1") == 2
    assert base.articles == {"a": [0, 2], "b": [1], "c": [3]}
    assert "c" in base and "d" not in base


def test_an_unknown_passage_is_named_beside_known_ones():
    with pytest.raises(
        UsageError, match="no passage 'x' among the 4 of the knowledge base, such as 'a-0', 'b-0', 'a-1'"
    ):
        KnowledgeBase(PASSAGES).position("x")


def test_duplicate_ids_are_refused_with_both_places():
    with pytest.raises(UsageError, match="passages 1 and 5 of the knowledge base share the id 'a-0'"):
        KnowledgeBase([*PASSAGES, Passage("a-0")])
