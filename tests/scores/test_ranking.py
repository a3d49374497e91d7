"""Scores of rankings: ranx's golden values, their definitions written out, and what must not matter."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ofakit.errors import UsageError
from ofakit.scores.ranking import bpref, judge, parse_score, ranking_scores

from tests.golden_rankings import COLLECTIONS, extremes, golden, qrels_of, runs_of

WITH_DEPTH = ["mrr", "p", "hit", "recall", "f1", "map", "ndcg", "ndcg_burges"]
NAMES = [*WITH_DEPTH, *(f"{name}@{k}" for name in WITH_DEPTH for k in (1, 3, 10)), "r-precision", "bpref", "rbp.8"]
PASSAGES = "abcdefghij"


@pytest.mark.parametrize("which", ["a", "b"])
@pytest.mark.parametrize("collection", COLLECTIONS)
def test_scores_are_those_of_ranx(shared, collection, which):
    expected, qrels = golden(shared)[collection], qrels_of(shared, collection)
    names = list(expected["metrics"][which])
    assert len(names) == 16
    low, high = extremes(runs_of(shared, collection)[which], qrels, names)
    settled = 0
    for name in names:
        values = expected["per_query"][which][name]
        theirs = np.array([values[query] for query in qrels])
        if name == "bpref" and collection == "cisi_test":
            # No passage was judged irrelevant there: 0 / 0 in ranx.
            assert np.isnan(theirs).any() and np.isfinite(low[name]).all()
            continue
        assert (low[name] <= theirs + 1e-6).all() and (theirs <= high[name] + 1e-6).all(), name
        assert low[name].mean() - 1e-6 <= expected["metrics"][which][name] <= high[name].mean() + 1e-6
        settled += np.isclose(low[name], high[name], atol=1e-9, rtol=0).sum()
    assert settled >= 0.9 * len(names) * len(qrels), "ties leave too much open for this to be a test"


def by_definition(name: str, ranking: list[str], gains: dict[str, float]) -> float:
    """A score, from its definition, one passage after the other."""
    base, _, depth = name.partition("@")
    relevant = [passage for passage, gain in gains.items() if gain > 0]
    top = ranking[: int(depth)] if depth else ranking
    hits = [passage in relevant for passage in top]
    k = int(depth) if depth else len(ranking)
    if not relevant:
        return 0.0
    precision, recall = sum(hits) / k if k else 0.0, sum(hits) / len(relevant)
    if base == "mrr":
        return next((1 / rank for rank, hit in enumerate(hits, start=1) if hit), 0.0)
    if base == "f1":
        return 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    if base == "map":
        return sum(sum(hits[:rank]) / rank for rank, hit in enumerate(hits, start=1) if hit) / len(relevant)
    if base.startswith("ndcg"):
        gain = (lambda g: 2**g - 1) if base == "ndcg_burges" else (lambda g: g)
        found = [gain(max(gains.get(passage, 0), 0)) for passage in top]
        ideal = sorted((gain(gains[passage]) for passage in relevant), reverse=True)[: k if depth else None]
        return sum(g / math.log2(r + 2) for r, g in enumerate(found)) / sum(
            g / math.log2(r + 2) for r, g in enumerate(ideal)
        )
    if base == "r-precision":
        return sum(passage in relevant for passage in ranking[: len(relevant)]) / len(relevant)
    if base == "rbp.8":
        return 0.2 * sum(0.8**r for r, hit in enumerate(hits) if hit)
    if base == "bpref":
        irrelevant = [passage for passage in gains if passage not in relevant]
        above, total = 0, 0.0
        for passage in ranking:
            above += passage in irrelevant
            if passage in relevant:
                total += 1 - min(above, len(relevant)) / max(min(len(relevant), len(irrelevant)), 1)
        return total / len(relevant)
    return {"p": precision, "hit": float(any(hits)), "recall": recall}[base]


rankings = st.lists(st.sampled_from(PASSAGES), unique=True, max_size=10)
gains = st.dictionaries(st.sampled_from(PASSAGES + "xyz"), st.sampled_from([-1.0, 0.0, 0.5, 1.0, 2.0, 3.0]), max_size=8)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(rankings, gains), max_size=5))
def test_scores_are_what_their_definitions_say(queries):
    judged = judge([ranking for ranking, _ in queries], [known for _, known in queries])
    for name, values in ranking_scores(judged, NAMES).items():
        expected = [by_definition(name, ranking, known) for ranking, known in queries]
        assert values.tolist() == pytest.approx(expected, abs=1e-12), name
        assert values.shape == (len(queries),) and values.dtype == np.float64


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(rankings, gains), min_size=1, max_size=3), st.randoms())
def test_passages_behind_k_do_not_matter(queries, chance):
    names = [f"{name}@3" for name in WITH_DEPTH]
    known = [one for _, one in queries]
    shuffled = [ranking[:3] + chance.sample(ranking[3:], len(ranking[3:])) for ranking, _ in queries]
    whole, other, short = (
        ranking_scores(judge(some, known), names)
        for some in ([r for r, _ in queries], shuffled, [r[:3] for r, _ in queries])
    )
    for name in names:
        assert whole[name].tolist() == other[name].tolist() == short[name].tolist()


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(rankings, gains), min_size=1, max_size=4), st.randoms())
def test_a_query_does_not_change_the_scores_of_another(queries, chance):
    order = chance.sample(range(len(queries)), len(queries))
    together = ranking_scores(judge(*map(list, zip(*queries, strict=True))), NAMES)
    apart = ranking_scores(judge(*map(list, zip(*[queries[i] for i in order], strict=True))), NAMES)
    for name in NAMES:
        assert together[name][order].tolist() == pytest.approx(apart[name].tolist(), abs=1e-15)


def test_nothing_relevant_nothing_found_and_no_query_at_all():
    judged = judge([["a"], [], ["a"]], [{}, {"a": 1.0}, {"a": 0.0}])
    for name in NAMES:
        assert ranking_scores(judged, [name])[name].tolist() == [0.0, 0.0, 0.0]
        assert ranking_scores(judge([], []), [name])[name].shape == (0,)


def test_precision_of_a_short_ranking_counts_the_places_it_leaves_empty():
    judged = judge([["a", "b"]], [{"a": 1.0, "b": 1.0}])
    scores = ranking_scores(judged, ["p", "p@2", "p@20", "precision@20"])
    assert {name: values.item() for name, values in scores.items()} == {
        "p": 1.0, "p@2": 1.0, "p@20": 0.1, "precision@20": 0.1,
    }  # fmt: skip


def test_precision_does_not_rise_with_k_where_relevant_passages_come_first():
    judged = judge([[f"p{n}" for n in range(50)]], [{f"p{n}": 1.0 for n in range(7)}])
    values = [ranking_scores(judged, [f"p@{k}"])[f"p@{k}"].item() for k in range(1, 51)]
    assert values == sorted(values, reverse=True) and values[0] == 1.0 and values[-1] == 0.14


def test_bpref_passes_over_what_nobody_judged():
    known = {"a": 1.0, "b": 1.0, "x": 0.0, "y": 0.0}
    assert bpref(judge([["u", "a", "v", "x", "b"]], [known])).tolist() == [(1 + 1 / 2) / 2]
    assert bpref(judge([["a", "x", "b"]], [known])).tolist() == [(1 + 1 / 2) / 2]


@pytest.mark.parametrize(
    ("long", "short"),
    [
        ("precision@20", "p@20"),
        ("hit_rate@5", "hit@5"),
        ("MRR@100", "mrr@100"),
        (" map ", "map"),
        ("rbp.95", "rbp.950"),
    ],
)
def test_other_spellings_mean_the_same(long, short):
    judged = judge([list("abc"), list("xay")], [{"b": 1.0}, {"a": 2.0, "y": 1.0, "x": 0.0}])
    assert parse_score(long).compute(judged).tolist() == parse_score(short).compute(judged).tolist()
    assert parse_score(long)[1:] == parse_score(short)[1:]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mmr@100", "unknown score of rankings 'mmr@100': did you mean 'mrr'"),
        ("bpref@10", "'bpref@10': bpref has no depth"),
        ("mrr@0", "'mrr@0': expected a depth of at least 1"),
        ("mrr@", "such as mrr@10"),
        ("p@ten", "such as p@10"),
        ("rbp", "expected a persistence between 0 and 1, such as rbp.95"),
        ("rbp.x", "expected a persistence"),
        ("", "unknown score of rankings ''"),
    ],
)
def test_unknown_names_are_told_the_nearest(name, message):
    with pytest.raises(UsageError) as error:
        ranking_scores(judge([], []), [name])
    assert message in str(error.value)


def test_as_many_rankings_as_queries():
    with pytest.raises(UsageError, match="found 1 rankings and 2 queries"):
        judge([["a"]], [{}, {}])
