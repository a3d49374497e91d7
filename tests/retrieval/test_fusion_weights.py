"""Fitted weights: what they score is what the fused runs score, no point of the grid is better, ranx's are not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ofakit.config.retrieval import FusionSection
from ofakit.errors import UsageError
from ofakit.retrieval import Qrels, Run, evaluate, fit_weights, fuse
from ofakit.retrieval import fusion_weights as module
from ofakit.retrieval.fusion import join_runs

from tests.golden_rankings import golden, qrels_of, runs_of


def random_problem(seed, runs=3, queries=12):
    """Runs over 40 passages that know the relevant ones more or less well."""
    generator = np.random.default_rng(seed)
    passages = [f"p{n:02d}" for n in range(40)]
    relevant = {f"q{n}": set(generator.choice(passages, 3, replace=False)) for n in range(queries)}
    found = {}
    for number in range(runs):
        rankings = {}
        for query, gold in relevant.items():
            some = generator.choice(passages, 25, replace=False)
            rankings[query] = {p: round(generator.normal() + (p in gold) * (0.3 + number / 2), 2) for p in some}
        found[f"run{number}"] = Run(rankings)
    return found, Qrels({query: dict.fromkeys(gold, 1.0) for query, gold in relevant.items()})


def score(runs, qrels, section, weights):
    fused = fuse(runs, section.model_copy(update={"weights": weights}))
    return evaluate(fused, qrels, [section.fitted_by])[section.fitted_by]


@pytest.mark.parametrize("missing", ["zero", "minimum"])
def test_weights_are_at_least_as_good_as_those_of_ranx(shared, missing):
    theirs = golden(shared)["cranfield_val"]["optimize_fusion_zmuv_wsum_mrr@100"]["weights"]
    runs, qrels = runs_of(shared, "cranfield_val"), qrels_of(shared, "cranfield_val")
    section = FusionSection(normalization="zscore_per_query", missing=missing)
    found = fit_weights(runs, qrels, section)
    ours = score(runs, qrels, section, found)
    assert ours >= score(runs, qrels, section, dict(zip("ab", theirs, strict=True))) - 1e-12
    if missing == "zero":
        assert found == pytest.approx(dict(zip("ab", theirs, strict=True)))


@pytest.mark.parametrize("metric", ["mrr@100", "map", "ndcg@5", "p@3", "r-precision", "bpref"])
@pytest.mark.parametrize("method", ["weighted_sum", "mnz", "rrf"])
def test_no_point_of_the_grid_is_better(metric, method):
    runs, qrels = random_problem(0)
    section = FusionSection(method=method, fitted_by=metric)
    found = fit_weights(runs, qrels, section)
    assert sum(found.values()) == pytest.approx(1.0)
    best = score(runs, qrels, section, found)
    for first in range(11):
        for second in range(11 - first):
            weights = {"run0": first / 10, "run1": second / 10, "run2": (10 - first - second) / 10}
            assert score(runs, qrels, section, weights) <= best + 1e-9


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 10_000), st.sampled_from(["mrr@3", "map", "ndcg", "p@5", "bpref"]), st.integers(2, 4))
def test_a_point_scores_what_the_fused_runs_score(seed, metric, count):
    runs, qrels = random_problem(seed, count, 5)
    section = FusionSection(fitted_by=metric)
    search = module._Search(join_runs(runs, section), qrels, section)
    points = [*{tuple(np.random.default_rng(seed).multinomial(20, [1 / count] * count).tolist()) for _ in range(3)}]
    search.best(points)
    for point in points:
        weights = {name: weight / 20 for name, weight in zip(sorted(runs), point, strict=True)}
        assert search._values[point][0] == pytest.approx(score(runs, qrels, section, weights), abs=1e-12)


def test_the_order_of_runs_does_not_matter_and_nothing_is_drawn():
    runs, qrels = random_problem(1)
    section = FusionSection()
    found = fit_weights(runs, qrels, section)
    assert fit_weights(dict(reversed(runs.items())), qrels, section) == found == fit_weights(runs, qrels, section)
    assert list(found) == list(runs)


def test_a_useless_run_gets_nothing_and_equals_share():
    good = Run({f"q{n}": {"a": 2.0, "b": 1.0, "c": 0.0} for n in range(4)})
    bad = Run({f"q{n}": {"a": -9.0, "b": 5.0, "c": 9.0} for n in range(4)})
    qrels = Qrels({f"q{n}": {"a": 1} for n in range(4)})
    section = FusionSection(normalization="none")
    assert score({"good": good, "bad": bad}, qrels, section, {"good": 0.9, "bad": 0.1}) < 1.0
    assert fit_weights({"good": good, "bad": bad}, qrels, section) == {"good": 0.95, "bad": 0.05}
    assert fit_weights({"a": good, "b": good}, qrels, section) == {"a": 0.5, "b": 0.5}


def test_many_runs_are_searched_in_coarser_steps():
    sizes = {runs: len(list(module._grid(runs))) for runs in (2, 3, 4, 5, 6, 8, 12)}
    assert [sizes[runs] for runs in (2, 3, 4, 5)] == [11, 66, 286, 1001]
    assert max(sizes.values()) <= 2000
    for runs in sizes:
        assert all(sum(point) == 20 and min(point) >= 0 for point in module._grid(runs))
    runs, qrels = random_problem(2, runs=7, queries=6)
    found = fit_weights(runs, qrels, FusionSection(fitted_by="map"))
    assert sum(found.values()) == pytest.approx(1.0)
    alone = max(
        score(runs, qrels, FusionSection(fitted_by="map"), {n: float(n == best) for n in runs}) for best in runs
    )
    assert score(runs, qrels, FusionSection(fitted_by="map"), found) >= alone


def test_queries_without_relevant_passages_or_rankings_do_not_stop_it():
    runs = {"a": Run({"q1": {"x": 1.0}, "q2": {}}), "b": Run({"q1": {"y": 1.0}})}
    qrels = Qrels({"q1": {"y": 1.0}, "q2": {}, "q3": {"z": 1.0}})
    section = FusionSection(normalization="none", missing="zero")
    assert fit_weights(runs, qrels, section) == {"a": 0.45, "b": 0.55}
    nothing = {"a": Run({"q1": {}}), "b": Run({})}
    assert fit_weights(nothing, qrels, FusionSection()) == {"a": 0.5, "b": 0.5}


@pytest.mark.parametrize(
    ("qrels", "metric", "message"),
    [
        (Qrels({"other": {"a": 1}}), "mrr@100", "run 'run0': 12 of its 12 queries are not among the 1 of the qrels"),
        (Qrels({"q0": {"p01": 1}}, "pooled"), "map", "map needs to know every relevant passage"),
        (Qrels({"q0": {"p01": 1}}), "mmr@100", "did you mean 'mrr'"),
    ],
)
def test_bad_usage_is_refused(qrels, metric, message):
    with pytest.raises(UsageError, match=message):
        fit_weights(random_problem(0)[0], qrels, FusionSection(fitted_by=metric))
