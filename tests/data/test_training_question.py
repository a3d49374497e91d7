"""What a retriever learns from."""

from __future__ import annotations

import numpy as np
import pytest
from ofakit.data.bad_examples import BadExamples
from ofakit.data.knowledge_base import KnowledgeBase
from ofakit.data.passage import Passage
from ofakit.data.query import Query
from ofakit.data.training_question import canonical_numbers, training_questions
from ofakit.errors import UsageError

IMAGE = np.zeros((4, 4, 3), np.uint8)
BASE = KnowledgeBase([
    Passage("a", "one", image="a.png"), Passage("b", "two", image="b.png"), Passage("c", "one", image="a.png"),
    Passage("d", "one", title="other", image="a.png"), Passage("e", image=IMAGE), Passage("f", image=IMAGE.copy()),
])  # fmt: skip


def test_equal_passages_share_a_number():
    assert canonical_numbers(BASE, range(6)) == {0: 0, 1: 1, 2: 0, 3: 3, 4: 4, 5: 5}
    assert canonical_numbers(BASE, [5, 2, 2]) == {2: 2, 5: 5}, "of those that are compared, the first one counts"


def test_a_question_knows_its_passages_and_the_images_it_needs():
    bad = BadExamples()
    query = Query("q", "what", "q.png", {"c": 1, "b": 2, "d": 0})
    (found,) = training_questions([query], BASE, bad, {"q": ["d", "a", "e"], "other": ["b"]})
    assert (found.relevant, found.relevant_indices) == ((2, 1), (0, 1))
    assert found.negatives == (3, 4), "a passage with the text of an answer is no negative"
    assert found.numbers == {2: 0, 1: 1, 3: 3, 4: 4}
    assert found.image_paths == ("q.png", "a.png", "b.png")
    assert (found.id, found.image_path, found.query_index, bad.rows) == ("q", "q.png", 0, [])


def test_groups_follow_from_what_is_asked_with():
    queries = [Query("1", "x", IMAGE, {"a": 1}), Query("2", "x", None, {"a": 1}), Query("3", None, IMAGE, {"a": 1})]
    assert [q.group for q in training_questions(queries, BASE, BadExamples())] == ["both", "text", "image"]


def test_what_cannot_be_learned_from_is_counted_and_listed():
    bad = BadExamples()
    queries = [
        Query("1", "x"),
        Query("2", "", None, {"a": 1}),
        Query("3", "x", None, {"a": 0}),
        Query("4", "x", None, {"a": 1}),
    ]
    found = training_questions(queries, BASE, bad)
    assert [(q.id, q.query_index) for q in found] == [("4", 0)]
    assert bad.counts == {"no relevant passage": 2, "empty question": 1}
    assert [row["id"] for row in bad.rows] == ["1", "2", "3"]


def test_a_passage_that_is_not_there_is_named():
    with pytest.raises(UsageError, match="no passage 'z'"):
        training_questions([Query("1", "x", None, {"z": 1})], BASE, BadExamples())


def test_pixels_come_from_the_store():
    (found,) = training_questions([Query("q", "x", "q.png", {"a": 1})], BASE, BadExamples())
    assert found.pixels({"q.png": 5})("q.png") == 5
