"""Perplexity under a trigram model: by hand, against the definition, and each style under its own model."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ofakit.errors import UsageError
from ofakit.scores import TrigramModel, style_perplexity

WORDS = st.sampled_from(["a", "dog", "cat", "runs", "sits", "on", "the", "grass", "red", "ball"])
CAPTIONS = st.lists(st.lists(WORDS, max_size=8).map(" ".join), min_size=1, max_size=8)
HAPPY = ["a lovely sunny day", "a happy dog", "what a lovely smile", "a sunny happy beach"]
GLOOMY = ["a dark lonely night", "a sad dog", "what a lonely street", "a dark sad beach"]


def test_by_hand():
    """Counts of "a b" and "a c", which give each order its discount.

    Trigrams: "<s> <s> a" occurs twice, the other four once, so the discount is 4 / (4 + 2). Bigrams count the trigrams
    that end in them: each of the five ends one, so the discount is 5 / 5. Unigrams count the bigrams that end in them:
    a, b and c end one, the end mark two, so the discount is 3 / (3 + 2). Below lie the four words and an unknown one.
    """
    model = TrigramModel(["a b", "a c"])
    lowest = 1 / 5
    unigram = (1 - 3 / 5 + 3 / 5 * 4 * lowest) / 5
    bigram = (1 - 1 + 1 * 2 * unigram) / 2
    trigram = (1 - 2 / 3 + 2 / 3 * 2 * bigram) / 2
    assert model.probability("b", "<s>", "a") == pytest.approx(trigram)
    assert model.probability("zebra", "x", "y") == pytest.approx(3 / 5 * 4 * lowest / 5)
    assert model.vocabulary == {"a", "b", "c", "</s>"}


def test_perplexity_by_hand():
    """One caption, one word, its end: a vocabulary of two and a discount of 1 in every order.

    All the mass of a count is discounted, so each probability is that of the uniform distribution over two words and
    an unknown one, for every word.
    """
    found = TrigramModel(["a"]).perplexity(["a", "a zebra", ""])
    assert found.per_item.tolist() == pytest.approx([3.0] * 3)
    assert found.corpus == pytest.approx(3.0)


def plain_probability(captions: list[str], word: str, left: str, middle: str) -> float:
    """Interpolated Kneser-Ney by its definition, from nothing but the trigrams."""
    padded = [["<s>", "<s>", *caption.split(), "</s>"] for caption in captions]
    trigrams = Counter(t for words in padded for t in zip(words, words[1:], words[2:], strict=False))
    bigrams = Counter((b, c) for _, b, c in trigrams)
    unigrams = Counter(c for _, c in bigrams)

    def discount(counts: Counter) -> float:
        once, twice = (sum(n == k for n in counts.values()) for k in (1, 2))
        return once / (once + 2 * twice) if once else 0.5

    def smooth(count: int, followers: list[int], rate: float, lower: float) -> float:
        if not followers:
            return lower
        return (max(count - rate, 0) + rate * len(followers) * lower) / sum(followers)

    lowest = smooth(unigrams[word], list(unigrams.values()), discount(unigrams), 1 / (len(unigrams) + 1))
    after_one = [n for (b, _), n in bigrams.items() if b == middle]
    lower = smooth(bigrams[middle, word], after_one, discount(bigrams), lowest)
    after_two = [n for (a, b, _), n in trigrams.items() if (a, b) == (left, middle)]
    return smooth(trigrams[left, middle, word], after_two, discount(trigrams), lower)


@settings(max_examples=60, deadline=None)
@given(captions=CAPTIONS, left=WORDS, middle=WORDS)
def test_trigram_probabilities_as_defined_and_they_sum_to_one(captions, left, middle):
    model = TrigramModel(captions)
    for context in ((left, middle), ("<s>", middle), ("<s>", "<s>")):
        everything = [model.probability(word, *context) for word in (*model.vocabulary, "an unknown word")]
        assert sum(everything) == pytest.approx(1.0, abs=1e-12)
        assert min(everything) > 0
        for word in ("dog", "</s>", "zebra"):
            assert model.probability(word, *context) == pytest.approx(plain_probability(captions, word, *context))


def test_perplexity_is_the_inverse_geometric_mean_and_prefers_what_it_learned():
    captions = ["a dog runs", "a dog sleeps", "a cat runs"]
    model = TrigramModel(captions)
    found = model.perplexity(["a dog", "dog a zebra", ""])
    steps = [("a", "<s>", "<s>"), ("dog", "<s>", "a"), ("</s>", "a", "dog")]
    product = math.prod(plain_probability(captions, *step) for step in steps)
    assert found.per_item[0] == pytest.approx(product ** (-1 / 3))
    assert found.per_item[0] < found.per_item[1]
    assert np.isfinite(found.per_item).all()
    assert found.per_item.min() < found.corpus < found.per_item.max()


def test_each_style_is_scored_by_its_own_model():
    models = {"happy": TrigramModel(HAPPY), "gloomy": TrigramModel(GLOOMY)}
    found = style_perplexity(["a happy dog", "a sad dog", "a lovely smile"], ["happy", "gloomy", "happy"], models)
    assert (
        found["happy"].per_item.tolist()
        == models["happy"].perplexity(["a happy dog", "a lovely smile"]).per_item.tolist()
    )
    assert found["gloomy"].corpus < style_perplexity(["a sad dog"], ["happy"], models)["happy"].corpus
    with pytest.raises(UsageError, match="no trigram model for the style 'sad'"):
        style_perplexity(["a"], ["sad"], models)
    with pytest.raises(UsageError, match="a style for each candidate"):
        style_perplexity(["a"], [], models)


@pytest.mark.parametrize("call", [lambda: TrigramModel([]), lambda: TrigramModel(["a"]).perplexity([])])
def test_perplexity_of_nothing_is_refused(call):
    with pytest.raises(UsageError):
        call()
