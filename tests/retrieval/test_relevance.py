"""What is relevant by its answers: as meerqat finds it, by provenance, and pooled over what was retrieved."""

from __future__ import annotations

import json

import pytest
from ofakit.data.knowledge_base import KnowledgeBase
from ofakit.data.passage import Passage
from ofakit.data.query import Query
from ofakit.errors import UsageError
from ofakit.retrieval.relevance import find_relevant, pooled_relevance, provenance_relevance, united_relevance

BASE = KnowledgeBase(
    [
        Passage("a-0", "It is old.", "Paris", article="a"),
        Passage("a-1", "The capital of France.", "Paris", article="a"),
        Passage("b-0", "In France there are cheeses.", "Cheese", article="b"),
    ]
)


def test_relevance_of_meerqat(shared):
    golden = json.loads((shared / "golden" / "retrieval" / "meerqat.json").read_text(encoding="utf-8"))["relevance"]
    assert len(golden["cases"]) == 12
    for case in golden["cases"]:
        original = case["original_answer"]
        assert find_relevant(golden["passages"], [original]) == case["original_relevant"]
        assert find_relevant(golden["passages"], [original, *case["alternatives"]]) == case["relevant"]


def test_provenance_looks_at_passages_of_its_articles_only():
    assert provenance_relevance(["france"], ["a", "none", "a"], BASE) == {"a-1": 1.0}
    assert provenance_relevance(["paris"], ["a"], BASE) == {"a-0": 1.0, "a-1": 1.0}
    assert provenance_relevance(["paris"], ["a"], BASE, text_of=lambda passage: passage.text) == {}
    assert provenance_relevance([], ["a"], BASE) == {}


def test_what_was_retrieved_is_added_and_what_is_judged_stays():
    queries = [Query("q", relevant={"a-1": 2.0, "a-0": 0.0}, answers=("France", "Paris")), Query("r"), Query("s")]
    run = {"q": {"b-0": 3.0, "a-0": 2.0, "a-1": 1.0}, "r": {"b-0": 1.0}}
    found = pooled_relevance(run, BASE, queries)
    assert found == {"q": {"a-1": 2.0, "a-0": 0.0, "b-0": 1.0}, "r": {}, "s": {}}
    assert pooled_relevance(run, lambda name: BASE[BASE.position(name)], queries) == found
    assert queries[0].relevant == {"a-1": 2.0, "a-0": 0.0}


def test_a_run_of_other_queries_or_passages_is_refused():
    with pytest.raises(UsageError, match="the run contains the unknown query 'x': available: q"):
        pooled_relevance({"x": {}}, BASE, [Query("q")])
    with pytest.raises(UsageError, match="no passage 'z'"):
        pooled_relevance({"q": {"z": 1.0}}, BASE, [Query("q", answers=("y",))])


def test_judgements_unite_in_any_order():
    some = [{"q": {"a": 1.0, "b": 0.0}}, {"q": {"b": 1.0}, "r": {}}, {"q": {"a": -1.0}}]
    assert united_relevance(some) == {"q": {"a": 1.0, "b": 1.0}, "r": {}}
    assert united_relevance(some[::-1]) == united_relevance(some)
