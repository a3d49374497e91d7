"""Intervals and paired tests: against plain resampling with the scores themselves, and their frequencies are right."""

from __future__ import annotations

import random

import numpy as np
import pytest
from ofakit.errors import UsageError
from ofakit.scores import bleu, bootstrap_intervals, measure, meteor, paired_tests
from ofakit.scores.meteor import meteor_from_statistics
from ofakit.scores.score import Measure, mean_of

from tests.golden_rankings import COLLECTIONS, golden

WORDS = ["a", "dog", "cat", "runs", "sits", "on", "the", "grass", "red", "ball", "two", "men"]


def corpus(items: int, seed: int, worse: float = 0.0) -> tuple[list[str], list[list[str]]]:
    """Candidates that are references with words replaced; the more, the larger `worse`."""
    generator, noise = random.Random(seed), random.Random(seed + 1)
    references = [[" ".join(generator.choices(WORDS, k=8)) for _ in range(2)] for _ in range(items)]
    candidates = [
        " ".join("junk" if noise.random() < 0.3 + worse else word for word in texts[0].split()) for texts in references
    ]
    return candidates, references


def test_a_resampled_corpus_scores_as_if_it_were_scored():
    """The quantiles of 200 corpora that are drawn and scored from nothing."""
    candidates, references = corpus(25, 2)
    measures, _ = measure(candidates, references, java=False)
    generator = np.random.default_rng(5)
    draws = [generator.integers(25, size=25) for _ in range(200)]
    scored = [[s.corpus for s in bleu([candidates[i] for i in d], [references[i] for i in d])] for d in draws]
    found = bootstrap_intervals(measures, resamples=200, confidence=0.9, seed=5)
    for n in range(4):
        low, high = np.quantile([scores[n] for scores in scored], [0.05, 0.95])
        assert found[f"bleu{n + 1}"] == pytest.approx((low, high), abs=1e-9)


def test_blocks_do_not_change_the_intervals(monkeypatch):
    from ofakit.scores import uncertainty

    measures, _ = measure(*corpus(20, 3), java=False)
    other, _ = measure(*corpus(20, 3, worse=0.1), java=False)
    whole = bootstrap_intervals(measures, 50), paired_tests(measures, other, 60)
    monkeypatch.setattr(uncertainty, "_BLOCK", 100)
    for name, interval in bootstrap_intervals(measures, 50).items():
        assert interval == pytest.approx(whole[0][name], abs=1e-9)
    pieces = paired_tests(measures, other, 60)
    assert {name: round(d.difference, 9) for name, d in pieces.items()} == {
        name: round(d.difference, 9) for name, d in whole[1].items()
    }


def test_intervals_hold_the_mean_as_often_as_they_say():
    generator = np.random.default_rng(0)
    hits = 0
    for seed in range(200):
        values = generator.normal(1.0, 1.0, 60)
        mean = {"m": Measure(np.column_stack((values, np.ones(60))), lambda s: s[:, 0] / s[:, 1])}
        low, high = bootstrap_intervals(mean, 300, confidence=0.9, seed=seed)["m"]
        hits += low <= 1.0 <= high
    assert 165 <= hits <= 195


def test_p_values_are_uniform_where_there_is_no_difference():
    generator = np.random.default_rng(1)
    small = 0
    for seed in range(200):
        one, two = (
            {"m": Measure(np.column_stack((generator.normal(size=40), np.ones(40))), lambda s: s[:, 0] / s[:, 1])}
            for _ in range(2)
        )
        small += paired_tests(one, two, 200, seed)["m"].p <= 0.1
    assert 6 <= small <= 36


def test_a_real_difference_is_found_and_has_its_sign():
    better, _ = measure(*corpus(80, 4), java=False)
    poorer, _ = measure(*corpus(80, 4, worse=0.4), java=False)
    for name, outcome in paired_tests(better, poorer, 999).items():
        assert outcome.difference < 0, name
        assert outcome.p <= 0.01, name
    assert paired_tests(poorer, better, 999)["cider"].difference > 0


def test_of_two_items_every_swap_can_be_counted():
    """Differences +1 and +1: of the four ways to swap, none and both give a difference as large, so p is near 1/2."""
    one = {"m": Measure(np.array([[0.0, 1.0], [1.0, 1.0]]), lambda sums: sums[:, 0] / sums[:, 1])}
    two = {"m": Measure(np.array([[1.0, 1.0], [2.0, 1.0]]), lambda sums: sums[:, 0] / sums[:, 1])}
    outcome = paired_tests(one, two, rounds=4000)["m"]
    assert outcome.difference == pytest.approx(1.0)
    assert outcome.p == pytest.approx(1 / 2, abs=0.05)


def test_a_difference_that_chance_never_makes_counts_the_systems_as_they_are():
    """A swap of all 60 items or of none would do it, which nine rounds do not draw."""
    one, two = (
        {"m": Measure(np.column_stack((np.full(60, value), np.ones(60))), lambda sums: sums[:, 0] / sums[:, 1])}
        for value in (0.0, 1.0)
    )
    assert paired_tests(one, two, rounds=9)["m"] == (1.0, 1 / 10)


def test_only_measures_of_both_systems_are_compared():
    measures, _ = measure(*corpus(5, 9), java=False)
    assert list(paired_tests({"cider": measures["cider"], "x": measures["bleu1"]}, measures, 20)) == ["cider"]


def test_a_system_against_itself_is_never_significant():
    measures, _ = measure(*corpus(20, 5), java=False)
    assert {outcome.p for outcome in paired_tests(measures, measures, 99).values()} == {1.0}


def test_the_same_seed_gives_the_same_numbers_and_another_seed_others():
    one, _ = measure(*corpus(30, 6), java=False)
    two, _ = measure(*corpus(30, 6, worse=0.03), java=False)
    assert bootstrap_intervals(one, 50, seed=3) == bootstrap_intervals(one, 50, seed=3)
    assert bootstrap_intervals(one, 50, seed=3) != bootstrap_intervals(one, 50, seed=4)
    assert paired_tests(one, two, 50, seed=3) == paired_tests(one, two, 50, seed=3)


def test_meteor_of_a_resampled_corpus_comes_from_summed_counts():
    generator = np.random.default_rng(2)
    matched = generator.integers(1, 5, (10, 1))
    rows = np.hstack([matched + 2, matched + 3, matched * 0 + 1, matched * 0 + 1, matched, matched, np.zeros((10, 14)),
                      np.ones((10, 1)), matched, matched]).astype(float)  # fmt: skip
    found = bootstrap_intervals({"meteor": Measure(rows, meteor_from_statistics)}, 100)["meteor"]
    assert 0 < found.low < meteor_from_statistics(rows.sum(0, keepdims=True))[0] < found.high < 1
    assert meteor.__name__ == "meteor"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m, o: bootstrap_intervals(m, 0), "1 resample or more"),
        (lambda m, o: bootstrap_intervals(m, 10, confidence=1.0), "between 0 and 1"),
        (lambda m, o: bootstrap_intervals(m, 10, confidence=float("nan")), "between 0 and 1"),
        (lambda m, o: bootstrap_intervals({}), "at least one measure.*found none"),
        (lambda m, o: paired_tests({"cider": m["cider"]}, {"bleu1": m["bleu1"]}), "one of each system; found none"),
        (lambda m, o: paired_tests(m, m, 0), "1 round or more"),
        (lambda m, o: paired_tests(m, o), "the same items, found 5 and 6"),
        (lambda m, o: bootstrap_intervals({"a": m["cider"], "b": o["cider"]}), r"same items, found \[5, 6\]"),
    ],
)
def test_bad_arguments_are_named(call, message):
    five, _ = measure(*corpus(5, 7), java=False)
    six, _ = measure(*corpus(6, 8), java=False)
    with pytest.raises(UsageError, match=message):
        call(five, six)


@pytest.mark.parametrize("collection", COLLECTIONS)
def test_p_of_rankings_is_that_of_200000_swaps(shared, collection):
    """The recorded truth is of 200,000 sign flips of the per-query values that ranx gives, and ours of 10,000."""
    expected = golden(shared)[collection]
    truth = expected["significance"]["fisher_200000_numpy"]
    values = {which: expected["per_query"][which] for which in "ab"}
    names = [name for name in truth if np.isfinite(list(values["a"][name].values())).all()]
    first, second = ({n: mean_of(np.array(list(values[which][n].values()))) for n in names} for which in "ab")
    found = paired_tests(first, second)
    assert len(names) >= 15
    for name in names:
        assert found[name].p == pytest.approx(truth[name], abs=0.01), name
    assert paired_tests(first, second) == found, "the same p every time"
    assert {name: one.p for name, one in paired_tests(second, first).items()} == pytest.approx(
        {name: one.p for name, one in found.items()}, abs=0.01
    )
