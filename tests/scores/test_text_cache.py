"""Texts by number: entered once, weighed by their document counts, and forgotten before there are too many."""

from __future__ import annotations

import math

import numpy as np
import pytest
from ofakit.scores import cider_d, document_frequency, text_cache
from ofakit.scores.text_cache import TextCache, shared_length, vector_norms

REFERENCES = [["a dog runs", "the dog runs fast"], ["a red car"], ["a cat sleeps", "cat"]]


@pytest.fixture
def cache() -> TextCache:
    """Three documents: "a" is in all of them, "dog runs" in one."""
    return document_frequency(REFERENCES).text_cache


def test_a_text_keeps_its_number(cache):
    assert cache.numbers(["a dog", "a cat", "a dog"]).tolist() == [0, 1, 0]
    assert cache.numbers(["the sea", "a cat", ""]).tolist() == [2, 1, 3]
    found = cache.numbers([])
    assert (found.shape, found.dtype) == ((0,), np.int64)


def test_arrays_hold_words_weights_bounds_and_norms(cache):
    """log 3 is the weight of what one document has, or none; what all three have weighs 0."""
    rare = math.log(3) ** 2
    (number,) = cache.numbers(["a dog zebra"])
    words, weights, bounds, norms = cache.arrays
    start, end = bounds[number]
    assert end - start == 3
    assert words[start] == cache._frozen["a"] and words[end - 1] > len(cache._frozen)
    np.testing.assert_allclose(weights[start:end, 0], [0.0, rare, rare])
    np.testing.assert_allclose(weights[start : end - 1, 1], [rare, rare])
    np.testing.assert_allclose(weights[start, 2], rare)
    np.testing.assert_allclose(norms[number], [math.sqrt(2 * rare), math.sqrt(2 * rare), math.sqrt(rare), 0.0])


def test_a_text_means_the_same_however_many_came_before(cache):
    texts = [f"a dog {n} runs {n * n} red car" for n in range(300)]
    for start in range(0, 300, 7):
        cache.numbers(texts[start : start + 7])
    numbers = cache.numbers(texts)
    fresh = document_frequency(REFERENCES).text_cache
    order = fresh.numbers(texts)
    np.testing.assert_array_equal(cache.norms[numbers], fresh.norms[order])
    lengths = [cache.bounds[number, 1] - cache.bounds[number, 0] for number in numbers]
    assert lengths == [7] * 300


def test_past_its_limit_it_starts_over(monkeypatch, cache):
    monkeypatch.setattr(text_cache, "_MAX_WORDS", 5)
    assert cache.numbers(["a dog runs", "the red car"]).tolist() == [0, 1]
    assert cache.numbers(["a dog runs"]).tolist() == [0], "a text it knows does not make it forget"
    assert cache.numbers(["the red car", "a new one"]).tolist() == [0, 1]
    assert cache._used == 3 + 1 + 3, "a mark stands between texts that come together"


def test_rewards_stay_the_same_while_texts_are_forgotten(monkeypatch):
    frequency = document_frequency(REFERENCES)
    batches = [[f"a dog {n} runs {n + k}" for k in range(5)] for n in range(40)]
    expected = [cider_d(batch, [REFERENCES[0]] * 5, frequency).per_item for batch in batches]
    monkeypatch.setattr(text_cache, "_MAX_WORDS", 60)
    fresh = document_frequency(REFERENCES)
    found = [cider_d(batch, [REFERENCES[0]] * 5, fresh).per_item for batch in batches]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)
    assert fresh.text_cache._used < 200


@pytest.mark.parametrize(
    ("left", "left_end", "right", "right_end", "length"),
    [(0, 6, 6, 12, 4), (0, 3, 6, 12, 3), (0, 6, 6, 8, 2), (1, 6, 6, 12, 0), (0, 6, 0, 6, 4), (5, 6, 11, 12, 1)],
)
def test_shared_length_is_at_most_four_and_stays_inside_both_texts(left, left_end, right, right_end, length):
    words = np.array([1, 2, 3, 4, 5, 6, 1, 2, 3, 4, 5, 6], np.int32)
    assert shared_length(words, left, left_end, right, right_end) == length


def test_norms_are_those_of_the_vectors_of_counts():
    """ "a b a b a" has a three times, b twice, "a b" and "b a" twice each, "a b a" twice, "b a b" once."""
    words, bounds = np.array([1, 2, 1, 2, 1, 0, 7], np.int32), np.array([[0, 5], [6, 7]])
    weights = np.array([[2.0, 3.0, 5.0, 7.0], [11.0, 13.0, 17.0, 19.0]] * 2 + [[2.0, 0, 0, 0], [0] * 4, [4.0, 0, 0, 0]])
    norms = np.full((2, 4), np.nan)
    vector_norms(words, weights, bounds, norms)
    squares = [9 * 2 + 4 * 11, 4 * 3 + 4 * 13, 4 * 5 + 17, 7 + 19]
    np.testing.assert_allclose(norms, [np.sqrt(squares), [2.0, 0, 0, 0]])
