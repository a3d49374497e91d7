"""BLEU by hand: clipped counts, the closest reference, the brevity penalty, and a corpus that is more than a mean."""

from __future__ import annotations

import math

import numpy as np
import pytest
from ofakit.scores import bleu
from ofakit.scores.bleu import bleu_from_statistics, bleu_statistics


def of_each_order(candidate: str, references: list[str]) -> list[float]:
    return [score.corpus for score in bleu([candidate], [references])]


def test_counts_are_clipped_by_the_reference_that_has_most_as_published():
    """The first example of the paper: "the" counts twice, as often as in the first reference."""
    references = ["the cat is on the mat", "there is a cat on the mat"]
    statistics = bleu_statistics(["the the the the the the the"], [references])
    assert statistics.tolist() == [[2, 0, 0, 0, 7, 6, 5, 4, 7, 7]]
    assert of_each_order("the the the the the the the", references)[0] == pytest.approx(2 / 7)


def test_orders_are_geometric_means_with_a_brevity_penalty():
    """5 of 5 words, 3 of 4 pairs, 2 of 3 triples and 1 of 2 quadruples match; 5 words stand against 6."""
    expected = [
        math.exp(1 - 6 / 5) * product ** (1 / n)
        for n, product in enumerate([1, 1 * 3 / 4, 1 * 3 / 4 * 2 / 3, 1 * 3 / 4 * 2 / 3 * 1 / 2], start=1)
    ]
    assert of_each_order("a dog runs on grass", ["a dog runs on the grass"]) == pytest.approx(expected, abs=1e-8)


@pytest.mark.parametrize(
    ("references", "length"),
    [
        (["x y z", "x y z x y"], 3),
        (["x y z x y", "x y z"], 3),
        (["x", "x y z x y z"], 6),
        (["x y z x y z x", "x y z x"], 4),
        ([""], 0),
    ],
)
def test_the_closest_reference_counts_and_the_shorter_of_two(references, length):
    assert bleu_statistics(["a b c d"], [references])[0, 8:].tolist() == [4, length]


def test_a_longer_candidate_is_not_penalised():
    assert of_each_order("a b c d e", ["a b c d"]) == pytest.approx(
        [4 / 5, (4 / 5 * 3 / 4) ** (1 / 2), (4 / 5 * 3 / 4 * 2 / 3) ** (1 / 3), (4 / 5 * 3 / 4 * 2 / 3 / 2) ** (1 / 4)]
    )


def test_without_a_match_or_without_a_word_the_score_is_almost_zero():
    assert all(0 < score < 1e-9 for score in of_each_order("a b c d", ["x y z w"]))
    assert of_each_order("", ["a dog"]) == [0.0] * 4
    assert of_each_order("", [""]) == [0.0] * 4


def test_the_score_of_a_corpus_is_that_of_its_summed_counts():
    candidates, references = ["a dog", "two red cars wait here"], [["a dog"], ["two red birds wait"]]
    statistics = bleu_statistics(candidates, references)
    assert statistics[:, 4:9].tolist() == [[2, 1, 0, 0, 2], [5, 4, 3, 2, 5]]
    first = bleu(candidates, references)[0]
    assert first.corpus == pytest.approx((2 + 3) / (2 + 5))
    assert first.per_item.tolist() == pytest.approx([1.0, 3 / 5])
    assert first.corpus != pytest.approx(first.per_item.mean(), abs=1e-3)
    together = bleu_from_statistics(statistics.sum(axis=0, keepdims=True))
    assert together.tolist() == [[score.corpus for score in bleu(candidates, references)]]


def test_the_references_of_one_item_do_not_help_another():
    assert bleu_statistics(["a", "b a"], [["a b a"], ["c", "a"]])[:, 0].tolist() == [1, 1]


def test_each_row_of_counts_is_scored_by_itself():
    rows = bleu_statistics(["a b c d", "a b", "x"], [["a b c d"], ["a b c d"], ["a"]])
    together = bleu_from_statistics(rows)
    assert together.shape == (3, 4)
    np.testing.assert_array_equal(together, np.concatenate([bleu_from_statistics(row[None]) for row in rows]))
    assert together[0].tolist() == pytest.approx([1.0] * 4)
    assert together[1, :2].tolist() == pytest.approx([math.exp(1 - 4 / 2)] * 2)
