"""Diversity: distinct n-grams, vocabulary, novelty, and self-CIDEr against its definition."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ofakit.errors import UsageError
from ofakit.scores import (
    cross_cider,
    distinct,
    document_frequency,
    novel_share,
    self_cider,
    variety,
    vocabulary_size,
)
from ofakit.scores.diversity import _similarities, one_for_many

WORDS = st.sampled_from(["a", "dog", "cat", "runs", "sits", "on", "the", "grass", "red", "ball"])
CAPTIONS = st.lists(st.lists(WORDS, max_size=8).map(" ".join), min_size=1, max_size=8)


@pytest.mark.parametrize(("n", "expected"), [(1, 3 / 8), (2, 4 / 5), (3, 2 / 2), (4, 1 / 1), (5, 0.0)])
def test_distinct_by_hand(n, expected):
    """Pairs: "a a", "a dog", "dog a" and "the dog" among five, since "a dog" comes twice."""
    assert distinct(["a a dog a", "the dog", "a  dog"], n) == pytest.approx(expected)


def test_white_space_does_not_make_a_caption_new_or_a_word_another():
    assert vocabulary_size(["a  dog", "dog\ta", ""]) == 2
    assert novel_share(["a\tdog", "a cat", "a  cat "], iter(["a dog"])) == pytest.approx(2 / 3)


@settings(max_examples=60, deadline=None)
@given(captions=CAPTIONS)
def test_diversity_in_range(captions):
    for n in (1, 2):
        assert 0 <= distinct(captions, n) <= 1
    assert distinct(captions + captions, 1) <= distinct(captions, 1)
    assert vocabulary_size(captions) == vocabulary_size(captions + captions[::-1])
    assert novel_share(captions, captions) == 0
    assert novel_share(captions, []) == 1


@settings(max_examples=60, deadline=None)
@given(
    sets=st.lists(st.lists(st.lists(WORDS, max_size=8).map(" ".join), min_size=2, max_size=4), min_size=1, max_size=4)
)
def test_self_cider_in_range_and_the_same_in_any_order(sets):
    found = self_cider(sets).per_item
    assert ((found >= 0) & (found <= 1)).all()
    np.testing.assert_allclose(self_cider([one[::-1] for one in sets]).per_item, found, atol=1e-7)


def test_self_cider_as_defined():
    sets = [["a dog runs on grass", "a dog runs off", "two dogs"], ["a red car", "a car"], ["birds sing", "birds sing"]]

    def ngrams(text: str) -> list[list[str]]:
        words = text.split()
        return [[" ".join(words[i : i + n]) for i in range(len(words) - n + 1)] for n in range(1, 5)]

    grams = [ngrams(text) for text in sets[0]]
    known = [{gram for text in one for order in ngrams(text) for gram in order} for one in sets]

    def cosine(left: list[str], right: list[str]) -> float:
        weight = {g: np.log(3 / max(1, sum(g in one for one in known))) for g in {*left, *right}}
        a, b = ([one.count(g) * weight[g] for g in weight] for one in (left, right))
        norms = np.linalg.norm(a) * np.linalg.norm(b)
        return float(np.dot(a, b) / norms) if norms else 0.0

    kernel = np.array([[np.mean([cosine(x, y) for x, y in zip(a, b, strict=True)]) for b in grams] for a in grams])
    roots = np.sqrt(np.linalg.eigvalsh(kernel))
    expected = -np.log(roots.max() / roots.sum()) / np.log(3)
    for found in (self_cider(sets), self_cider(sets, document_frequency(sets))):
        assert found.per_item[0] == pytest.approx(expected)
        assert found.per_item[2] == 0


def test_self_cider_by_hand():
    """Two captions that share one of their two words, and no pair: cosines 1/2 and 0 for n = 1 and 2.

    The captions have no n-gram for n = 3 and 4, so the kernel is [[2, 1/2], [1/2, 2]] / 4.
    """
    found = self_cider([["red car", "red bus"], ["x y", "z w"]])
    roots = math.sqrt(2.5), math.sqrt(1.5)
    assert found.per_item[0] == pytest.approx(-math.log(roots[0] / sum(roots)) / math.log(2))
    assert found.per_item[1] == pytest.approx(1.0)
    assert found.corpus == pytest.approx(found.per_item.mean())


def test_cross_cider_by_hand():
    """Three captions: "red car" and "red bus" share one of two words, the third shares none with them.

    Words are weighted alike, so one pair has cosine 1/2 for n = 1 and 0 beyond; the mean over three pairs.
    """
    frequency = document_frequency([["red"], ["car"], ["bus"], ["a"], ["b"]])
    assert cross_cider(["red car", "red bus", "a b"], frequency) == pytest.approx(10 * (1 / 2) / 4 / 3)
    assert cross_cider(["red car"], frequency) == 0.0


@settings(max_examples=40, deadline=None)
@given(captions=st.lists(st.lists(WORDS, max_size=8).map(" ".join), min_size=2, max_size=8))
def test_cross_cider_is_the_mean_of_all_pairs_in_any_order(captions):
    frequency = document_frequency([["a dog runs"], ["the cat sits on the grass"], ["a red ball"]])
    known = frequency.text_cache
    numbers = known.numbers(captions)
    pairs = _similarities(numbers, *known.arrays)
    expected = 10 * np.mean([pairs[i, j] for i in range(len(captions)) for j in range(i)])
    assert cross_cider(captions, frequency) == pytest.approx(expected, abs=1e-9)
    assert cross_cider(captions[::-1], frequency) == pytest.approx(expected, abs=1e-9)


def test_variety_of_captions():
    found = variety(["a dog", "a  dog", "two cats"], [["a dog"], ["the dog"], ["two cats"]])
    assert (found["distinct"], found["vocabulary"]) == (2, 4)
    assert (found["most_frequent"], found["most_frequent_count"]) == ("a dog", 2)
    with pytest.raises(UsageError, match="nothing to score"):
        variety([], [])


@pytest.mark.parametrize(("count", "items", "told"), [(9, 20, False), (10, 100, True), (10, 101, False)])
def test_one_caption_for_many_is_told(count, items, told):
    assert (one_for_many("a dog", count, items) is not None) == told


def test_captions_without_a_rare_word_are_not_diverse():
    """Empty captions, and n-grams that every image has, weigh nothing."""
    assert self_cider([["", ""], ["a dog", "the cat"]]).per_item[0] == 0.0
    assert self_cider([["a dog", "the cat"]]).per_item.tolist() == [0.0]


def test_diversity_of_what_cannot_be_measured_is_refused():
    with pytest.raises(UsageError, match="two captions or more of image 1"):
        self_cider([["a", "b"], ["a"]])
    with pytest.raises(UsageError, match="nothing to score"):
        self_cider([])
    with pytest.raises(UsageError, match="n of at least 1"):
        distinct(["a"], 0)
    with pytest.raises(UsageError, match="no candidates"):
        novel_share([], ["a"])
    assert distinct([""], 2) == distinct([], 1) == 0.0
