"""What runs are scored against."""

from __future__ import annotations

import pytest
from ofakit.config.retrieval import RetrievalSection
from ofakit.data.knowledge_base import KnowledgeBase
from ofakit.data.passage import Passage
from ofakit.data.query import Query
from ofakit.errors import UsageError
from ofakit.retrieval.evaluation import evaluate
from ofakit.retrieval.judging import articles_of_qrels, articles_of_run, judged, pooled_qrels
from ofakit.retrieval.qrels import Qrels
from ofakit.retrieval.run import Run

BASE = KnowledgeBase([
    Passage("a0", "Paris is a city", article="a"), Passage("a1", "the Seine", article="a"),
    Passage("b0", "born in Paris", article="b"), Passage("b1", "Rome", article="b"), Passage("c", "Oslo"),
])  # fmt: skip
QUERIES = [Query("q", "which city", relevant={"a0": 1.0}, answers=("Paris",)), Query("r", "which", relevant={"c": 2.0})]
RUNS = {
    "x": Run({"q": {"b0": 3.0, "a1": 2.0, "a0": 1.0}, "r": {"b1": 1.0, "c": 0.5}}, name="x"),
    "y": Run({"q": {"a1": 3.0}, "r": {}}, name="y"),
}


def test_an_article_has_the_best_score_of_its_passages():
    found = articles_of_run(RUNS["x"], BASE)
    assert (found["q"], found["r"], found.name) == ({"b": 3.0, "a": 2.0}, {"b": 1.0, "c": 0.5}, "x")


def test_an_article_is_relevant_where_a_passage_is():
    qrels = articles_of_qrels(Qrels({"q": {"a0": 1, "a1": 2, "b1": 0, "gone": 1}}), BASE)
    assert dict(qrels["q"]) == {"a": 2, "b": 0, "gone": 1}


def test_scores_of_articles_are_those_of_their_best_passage():
    runs, qrels = judged(RUNS, QUERIES, BASE, RetrievalSection(evaluation_unit="article"))
    assert evaluate(runs["x"], qrels, ["mrr@10"]) == {"mrr@10": 0.5}
    assert evaluate(runs["y"], qrels, ["mrr@10"]) == {"mrr@10": 0.5}


def test_what_any_run_retrieved_and_holds_an_answer_is_relevant_to_all():
    qrels = pooled_qrels(Qrels.of(QUERIES), list(RUNS.values()), QUERIES, BASE)
    assert (dict(qrels["q"]), dict(qrels["r"])) == ({"a0": 1.0, "b0": 1.0}, {"c": 2.0})
    assert qrels.mode == "pooled"
    alone = pooled_qrels(Qrels.of(QUERIES), [RUNS["y"]], QUERIES, BASE)
    assert dict(alone["q"]) == {"a0": 1.0}


def test_pooled_judgements_refuse_scores_that_need_all_that_is_relevant():
    runs, qrels = judged(RUNS, QUERIES, BASE, RetrievalSection(relevance="pooled"))
    assert evaluate(runs["x"], qrels, ["mrr@10"]) == {"mrr@10": 0.75}
    with pytest.raises(UsageError, match="map needs to know every relevant passage, but the qrels are pooled"):
        evaluate(runs["x"], qrels, ["map"])


def test_by_default_passages_are_scored_against_what_is_judged():
    runs, qrels = judged(RUNS, QUERIES, BASE, RetrievalSection())
    assert runs == RUNS and dict(qrels["q"]) == {"a0": 1.0} and qrels.mode == "provenance"
