"""Evaluation: which queries count, what is reported, and what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ofakit.errors import UsageError
from ofakit.retrieval import Qrels, Run, check_same_queries, evaluate, score_run

from tests.golden_rankings import golden, qrels_of, runs_of

METRICS = ["mrr@100", "p@1", "map", "ndcg@10"]


@pytest.mark.parametrize("which", ["a", "b"])
def test_means_are_those_of_ranx(shared, which):
    """Cranfield's runs have no ties among passages that were judged, so their order leaves nothing open."""
    expected = golden(shared)["cranfield_test"]["metrics"][which]
    found = evaluate(runs_of(shared, "cranfield_test")[which], qrels_of(shared, "cranfield_test"), list(expected))
    assert list(found) == list(expected)
    assert found == pytest.approx(expected, abs=5e-7)


def test_every_query_of_the_qrels_counts():
    run = Run({"found": {"a": 1.0}, "empty": {}, "hopeless": {"a": 1.0}}, name="bm25")
    qrels = Qrels({"found": {"a": 1}, "empty": {"a": 1}, "lacking": {"a": 1}, "hopeless": {}})
    scores = score_run(run, qrels, METRICS)
    assert scores.means == dict.fromkeys(METRICS, 0.25)
    assert scores.queries == ("found", "empty", "lacking", "hopeless")
    assert scores.per_query["mrr@100"].tolist() == [1.0, 0.0, 0.0, 0.0]
    assert (scores.without_ranking, scores.without_relevant) == (("empty", "lacking"), ("hopeless",))
    assert scores.remarks() == [
        "queries without a relevant passage, which score 0: 1 ('hopeless')",
        "queries without a passage in the run, which score 0: 2 ('empty', 'lacking')",
    ]
    assert scores.measures()["p@1"].corpus == 0.25
    assert score_run(Run({"q": {"a": 1.0}}), Qrels({"q": {"a": 1}}), METRICS).remarks() == []


def test_a_run_that_found_nothing_scores_nothing():
    assert evaluate(Run({}), Qrels({"q": {"a": 1}}), METRICS) == dict.fromkeys(METRICS, 0.0)


def test_other_queries_are_refused_unless_they_are_to_be_left_out():
    run, qrels = Run({"q1": {"a": 1.0}, "z": {"a": 1.0}}, name="bm25"), Qrels({"q1": {"a": 1}})
    with pytest.raises(
        UsageError, match="run 'bm25': 1 of its 2 queries are not among the 1 of the qrels: 'z'; queries"
    ):
        evaluate(run, qrels, METRICS)
    scores = score_run(run, qrels, METRICS, unjudged="leave_out")
    assert scores.means["mrr@100"] == 1.0 and scores.left_out == ("z",)
    assert scores.remarks() == ["queries missing from the qrels, which are left out: 1 ('z')"]
    for unjudged in ("refuse", "leave_out"):
        with pytest.raises(UsageError, match="2 of its 2 queries are not among the 1 of the qrels: 'q1', 'z'"):
            evaluate(run, Qrels({"other": {"a": 1}}), METRICS, unjudged)
        with pytest.raises(UsageError, match="not among the 0 of the qrels.*look like none"):
            evaluate(run, Qrels({}), METRICS, unjudged)


def test_same_queries_are_asked_for_by_name():
    qrels = Qrels({"q1": {}, "q2": {}})
    check_same_queries(qrels, Run({"q2": {}, "q1": {}}))
    with pytest.raises(UsageError, match="the qrels lack 1 of 3 queries that run 'b' has: 'q3'"):
        check_same_queries(qrels, Run({"q1": {}, "q2": {}, "q3": {}}, name="b"))
    with pytest.raises(UsageError, match="run 'a' lacks 1 of 2 queries that run 'b' has: 'q2'"):
        check_same_queries(Run({"q1": {}}, name="a"), Run({"q1": {}, "q2": {}}, name="b"))


@pytest.mark.parametrize("name", ["map", "map@100", "recall@5", "r-precision", "f1@10", "bpref"])
def test_pooled_qrels_refuse_what_needs_every_relevant_passage(name):
    run, qrels = Run({"q": {"a": 1.0}}), Qrels({"q": {"a": 1}}, "pooled")
    with pytest.raises(UsageError, match=f"{name} needs to know every relevant passage, but the qrels are pooled"):
        evaluate(run, qrels, ["mrr@100", name])
    assert evaluate(run, qrels, ["mrr@100", "p@1", "hit@20", "ndcg@10"])["p@1"] == 1.0


def test_an_unknown_score_is_refused_before_anything_else():
    with pytest.raises(UsageError, match="did you mean 'mrr'"):
        evaluate(Run({"z": {"a": 1.0}}), Qrels({}), ["mmr"])


ids = st.sampled_from("abcdef")
rankings = st.dictionaries(st.sampled_from("qrs"), st.dictionaries(ids, st.integers(0, 3).map(float), max_size=5))


@settings(deadline=None, max_examples=40)
@given(rankings, st.permutations("qrs"), st.randoms())
def test_the_order_of_queries_and_passages_changes_nothing(found, order, chance):
    qrels = {"q": {"a": 1, "b": 2}, "r": {}, "s": {"f": 1}}
    shuffled = {q: dict(chance.sample(list(found[q].items()), len(found[q]))) for q in order if q in found}
    one = score_run(Run(found), Qrels(qrels), METRICS)
    two = score_run(Run(shuffled), Qrels({query: qrels[query] for query in order}), METRICS)
    for name in METRICS:
        assert dict(zip(one.queries, one.per_query[name], strict=True)) == dict(
            zip(two.queries, two.per_query[name], strict=True)
        )
