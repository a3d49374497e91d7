"""Late fusion: ranx's golden fusions, ViQuAE's global z-score from its definition, and what must not matter."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ofakit.config.retrieval import FusionSection
from ofakit.errors import UsageError
from ofakit.retrieval import Run, fuse

from tests.golden_rankings import COLLECTIONS, extremes, golden, qrels_of, runs_of

OF_RANX = {
    "zmuv_wsum": {"normalization": "zscore_per_query", "weights": {"a": 0.7, "b": 0.3}},
    "min-max_wsum": {"normalization": "min_max", "weights": {"a": 0.7, "b": 0.3}},
    "None_rrf": {"method": "rrf"},
    "min-max_sum": {"normalization": "min_max", "weights": {"a": 1.0, "b": 1.0}},
    "zmuv_mnz": {"normalization": "zscore_per_query", "method": "mnz", "weights": {"a": 1.0, "b": 1.0}},
    "rank_sum": {"normalization": "rank", "weights": {"a": 1.0, "b": 1.0}},
}


@pytest.mark.parametrize("name", OF_RANX)
@pytest.mark.parametrize("collection", COLLECTIONS)
def test_fusions_are_those_of_ranx(shared, collection, name):
    expected, qrels = golden(shared)[collection]["fusion"], qrels_of(shared, collection)
    assert set(expected) == set(OF_RANX)
    fused = fuse(runs_of(shared, collection), FusionSection(missing="zero", **OF_RANX[name]))
    for query, top in expected[name]["top5"].items():
        scores = [score for _, score in top]
        assert list(fused[query].values())[:5] == pytest.approx(scores, abs=2e-8)
        assert [fused[query][passage] for passage, _ in top] == pytest.approx(scores, abs=2e-8)
    if collection == "cisi_test" and name in ("None_rrf", "rank_sum"):
        return  # the runs themselves have ties there, so that ranx's ranks are not known
    low, high = extremes(fused, qrels, list(expected[name]["metrics"]))
    for metric, value in expected[name]["metrics"].items():
        assert low[metric].mean() - 1e-6 <= value <= high[metric].mean() + 1e-6, metric
        if "wsum" in name and collection != "cisi_test":
            assert high[metric].mean() - low[metric].mean() < 2e-4, "ties leave too much open for this to be a test"


def by_definition(runs, normalization, missing, weights):
    """A weighted sum, query by query and passage by passage."""
    total: dict[str, dict[str, float]] = {}
    everything = {q: sorted({p for run in runs.values() for p in run.get(q, {})}) for run in runs.values() for q in run}
    for name, run in runs.items():
        filled = {}
        for query, ranking in run.items():
            filled[query] = dict(ranking)
            if missing == "minimum" and ranking and normalization != "rank":
                filled[query] |= {p: min(ranking.values()) for p in everything[query] if p not in ranking}
        values = np.array([score for ranking in filled.values() for score in ranking.values()])
        for query, ranking in filled.items():
            own = np.array(list(ranking.values()))
            order = sorted(ranking, key=lambda p: (-ranking[p], p))  # noqa: B023
            for passage in everything[query]:
                if passage in ranking:
                    score = {
                        "zscore": lambda s: (s - values.mean()) / max(values.std(), 1e-9),  # noqa: B023
                        "zscore_per_query": lambda s: (s - own.mean()) / max(own.std(), 1e-9),  # noqa: B023
                        "min_max": lambda s: (s - own.min()) / max(own.max() - own.min(), 1e-9),  # noqa: B023
                        "rank": lambda s: 1 - order.index(passage) / len(order),  # noqa: B023
                        "none": lambda s: s,
                    }[normalization](ranking[passage])
                else:
                    score = 1 / len(order) if normalization == "rank" and missing == "minimum" and order else 0.0
                entry = total.setdefault(query, {})
                entry[passage] = entry.get(passage, 0.0) + weights[name] * score
    return total


ids = st.sampled_from("abcde")
rankings = st.dictionaries(st.sampled_from("qrs"), st.dictionaries(ids, st.floats(-5, 5).map(lambda x: round(x, 2))))
some_runs = st.dictionaries(st.sampled_from(["bm25", "dense", "image"]), rankings, min_size=2)
normalizations = st.sampled_from(["zscore", "zscore_per_query", "min_max", "rank", "none"])
missing = st.sampled_from(["minimum", "zero"])


@settings(deadline=None, max_examples=150)
@given(some_runs, normalizations, missing)
def test_fusions_are_what_their_definitions_say(found, normalization, missing):
    weights = {name: 0.2 * (number + 1) for number, name in enumerate(found)}
    section = FusionSection(normalization=normalization, missing=missing, weights=weights)
    fused = fuse({name: Run(run) for name, run in found.items()}, section)
    expected = by_definition(found, normalization, missing, weights)
    assert {query: set(ranking) for query, ranking in fused.items() if ranking} == {
        query: set(ranking) for query, ranking in expected.items()
    }
    for query, ranking in expected.items():
        # Where all scores of a query are equal up to rounding, σ is rounding alone and says nothing.
        assert dict(fused[query]) == pytest.approx(ranking, abs=1e-6, rel=1e-6)


@settings(deadline=None, max_examples=60)
@given(some_runs, normalizations, missing, st.sampled_from(["weighted_sum", "mnz", "rrf"]), st.randoms())
def test_neither_the_order_of_runs_nor_that_within_them_matters(found, normalization, missing, method, chance):
    weights = {name: 0.15 * (number + 1) for number, name in enumerate(sorted(found))}
    section = FusionSection(method=method, normalization=normalization, missing=missing, weights=weights)

    def shuffled(mapping):
        return dict(chance.sample(list(mapping.items()), len(mapping)))

    one = fuse({name: Run(run) for name, run in found.items()}, section)
    two = fuse(
        {n: Run(shuffled({q: shuffled(r) for q, r in run.items()})) for n, run in shuffled(found).items()}, section
    )
    assert [(query, list(ranking.items())) for query, ranking in one.items()] == [
        (query, list(ranking.items())) for query, ranking in two.items()
    ]


def test_global_z_scores_count_what_was_filled_in():
    """ViQuAE's rule by hand: a lacks y and gives it its lowest, 1; of 3, 1 and 1 the mean is 5/3."""
    runs = {"a": Run({"q": {"x": 3.0, "z": 1.0}}), "b": Run({"q": {"y": 10.0}})}
    fused = fuse(runs, FusionSection(weights={"a": 1.0, "b": 1.0}))
    deviation = np.std([3, 1, 1])
    assert fused["q"] == pytest.approx({"x": (3 - 5 / 3) / deviation, "y": -2 / 3 / deviation, "z": -2 / 3 / deviation})


def test_a_run_that_lacks_a_query_says_nothing_about_it():
    runs = {"a": Run({"q": {"x": 2.0, "y": 1.0}, "r": {"x": 1.0}}), "b": Run({"q": {"y": 5.0}})}
    fused = fuse(runs, FusionSection(normalization="none", weights={"a": 0.5, "b": 0.5}))
    assert dict(fused) == {"q": {"y": 3.0, "x": 3.5}, "r": {"x": 0.5}} and fused.ranking("q") == ["x", "y"]


def test_rrf_by_hand_and_with_weights():
    runs = {"a": Run({"q": {"x": 9.0, "y": 1.0}}), "b": Run({"q": {"y": 0.3}})}
    assert fuse(runs, FusionSection(method="rrf"))["q"] == pytest.approx({"y": 1 / 62 + 1 / 61, "x": 1 / 61})
    weighted = fuse(runs, FusionSection(method="rrf", weights={"a": 1.0, "b": 0.1}))
    assert weighted["q"] == pytest.approx({"x": 1 / 61, "y": 1 / 62 + 0.1 / 61})


def test_only_the_runs_that_are_named_are_joined():
    runs = {name: Run({"q": {name: 1.0}}) for name in "abc"}
    section = FusionSection(of=["a", "c"], normalization="none", weights={"a": 1.0, "c": 2.0})
    assert dict(fuse(runs, section, name="both")["q"]) == {"c": 3.0, "a": 3.0}
    assert fuse(runs, section, name="both").name == "both"


def test_runs_without_anything_give_a_run_without_anything():
    fused = fuse({"a": Run({"q": {}}), "b": Run({})}, FusionSection(weights={"a": 1.0, "b": 1.0}))
    assert dict(fused) == {"q": {}}


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({}, "expected a weight for each run, found none; set them, or fit them on val"),
        ({"weights": {"a": 1.0}}, "expected a weight for 'b', found none; 0 leaves it out"),
        ({"weights": {"a": 1.0, "b": 1.0, "bb": 1.0}}, "weights: unknown searcher 'bb': did you mean 'b'"),
        ({"of": ["a", "dense"]}, "of: unknown searcher 'dense': available: a, b"),
        ({"of": ["a", "a"]}, "expected two runs or more to fuse, found 'a', 'a'"),
        ({"method": "none"}, "method is 'none': expected a way to fuse runs"),
    ],
)
def test_bad_sections_are_refused(section, message):
    with pytest.raises(UsageError, match=message):
        fuse({"a": Run({"q": {"x": 1.0}}), "b": Run({"q": {"x": 1.0}})}, FusionSection(**section))
