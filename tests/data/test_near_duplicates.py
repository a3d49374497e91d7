"""MinHash agrees with the Jaccard index, and finds texts that differ in a few words."""

from __future__ import annotations

import numpy as np
import pytest
from ofakit.data.near_duplicates import NearDuplicates, minhash

WORDS = [f"w{k}" for k in range(400)]


def text(rng, words=100):
    return " ".join(rng.choice(WORDS, words))


def runs(words):
    parts = words.split()
    return {tuple(parts[k : k + 3]) for k in range(len(parts) - 2)}


def test_agreement_estimates_the_jaccard_index():
    rng = np.random.default_rng(0)
    errors = []
    for changed in range(0, 30, 2):
        one = text(rng).split()
        two = [f"x{k}" if k >= 100 - changed else word for k, word in enumerate(one)]
        one, two = " ".join(one), " ".join(two)
        exact = len(runs(one) & runs(two)) / len(runs(one) | runs(two))
        errors.append(np.mean(minhash(one) == minhash(two)) - exact)
    assert abs(np.mean(errors)) < 0.05 and np.abs(errors).max() < 0.2


def test_every_near_copy_is_found_and_nothing_else():
    rng = np.random.default_rng(1)
    texts = [text(rng) for _ in range(300)]
    found = NearDuplicates()
    assert [found.add(str(k), one) for k, one in enumerate(texts)] == [None] * 300
    assert [found.add(f"copy {k}", f"{one} and more") for k, one in enumerate(texts)] == [str(k) for k in range(300)]


def test_case_and_punctuation_do_not_count_and_short_texts_are_passed_over():
    found = NearDuplicates()
    assert found.add("a", "one, two! THREE four") is None
    assert found.add("b", "One two three: four") == "a"
    assert minhash("one two") is None
    assert found.add("c", "one two") is None is found.add("d", "one two")


@pytest.mark.parametrize("threshold", [0.0, 1.0])
def test_the_threshold_counts(threshold):
    rng = np.random.default_rng(2)
    one = text(rng)
    found = NearDuplicates(threshold)
    found.add("a", one)
    assert (found.add("b", one + " and much more besides that was never said before") == "a") is (threshold == 0.0)
