"""CIDEr and CIDEr-D: by hand, against the published formula, and as a reward."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ofakit.errors import UsageError
from ofakit.scores import cider, cider_d, document_frequency

WORDS = st.sampled_from(["a", "dog", "cat", "runs", "sits", "on", "the", "grass", "red", "ball"])
CAPTIONS = st.lists(WORDS, max_size=12).map(" ".join)
CORPORA = st.lists(st.tuples(CAPTIONS, st.lists(CAPTIONS, min_size=1, max_size=4)), min_size=1, max_size=8)
FREQUENCY = document_frequency([["a dog runs on the grass"], ["a cat sits"], ["the red ball", "a ball"]])


def test_one_word_short_of_the_reference():
    """Every n-gram is in one of two documents, so all weights are equal and cancel: cosines are counts over norms."""
    found = cider(["a b c", "e f g h"], [["a b c d"], ["e f g h"]])
    cosines = [3 / math.sqrt(3 * 4), 2 / math.sqrt(2 * 3), 1 / math.sqrt(1 * 2), 0]
    assert found.per_item[0] == pytest.approx(10 / 4 * sum(cosines) * math.exp(-(1**2) / (2 * 6**2)))
    assert found.per_item[1] == pytest.approx(10.0)
    assert found.corpus == pytest.approx(found.per_item.mean())


def test_repeated_words_are_clipped_and_the_length_is_penalised():
    """ "a a a" against "a": min(3, 1) * 1 / (3 * 1) for n = 1, and two words too many."""
    found = cider_d(["a a a", "b"], [["a"], ["b"]], sigma=2.0)
    assert found.per_item[0] == pytest.approx(10 / 4 * 1 / 3 * math.exp(-(2**2) / (2 * 2.0**2)))
    assert found.per_item[1] == pytest.approx(10 / 4)


def test_more_references_are_averaged():
    one = cider_d(["a b", "c"], [["a b"], ["c"]]).per_item[0]
    assert one == pytest.approx(10 / 4 * 2)
    two = cider_d(["a b", "c"], [["a b", "x"], ["c"]]).per_item[0]
    assert two == pytest.approx(one / 2)


def test_words_that_every_document_has_weigh_nothing():
    found = cider(["the dog", "the"], [["the dog"], ["the cat"]])
    assert found.per_item.tolist() == pytest.approx([10 / 4 * 2, 0.0])


def test_cider_d_as_published():
    """Formula 10 of the paper with the counts of the authors' code, written down plainly."""
    corpus = [["a dog runs", "the dog runs"], ["a red car", "red car"], ["a cat sleeps", "cat"], ["two birds", "birds"]]
    candidate, references, sigma = "a dog runs a dog", corpus[0], 3.0

    def vector(text: str, n: int) -> dict[tuple[str, ...], float]:
        words = text.split()
        grams = [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]
        return {
            g: grams.count(g) * np.log(len(corpus) / max(1, sum(holds(texts, g) for texts in corpus))) for g in grams
        }

    def holds(texts: list[str], gram: tuple[str, ...]) -> bool:
        return any(f" {' '.join(gram)} " in f" {text} " for text in texts)

    total = 0.0
    for reference in references:
        penalty = np.exp(-((len(candidate.split()) - len(reference.split())) ** 2) / (2 * sigma**2))
        for n in range(1, 5):
            ours, theirs = vector(candidate, n), vector(reference, n)
            norms = np.linalg.norm(list(ours.values()) or [0]) * np.linalg.norm(list(theirs.values()) or [0])
            dot = sum(min(ours.get(g, 0.0), weight) * weight for g, weight in theirs.items())
            total += penalty * dot / norms / 4 if norms else 0.0
    expected = 10 * total / len(references)
    found = cider_d([candidate], [references], document_frequency(corpus), sigma=sigma)
    assert found.corpus == pytest.approx(expected, abs=1e-12)
    assert expected > 1


def test_cider_d_with_the_same_document_frequency_is_cider(coco_tokens):
    _, candidates, references = coco_tokens
    frequency = document_frequency(references)
    found = cider_d(candidates, references, frequency)
    np.testing.assert_allclose(found.per_item, cider(candidates, references).per_item, rtol=0, atol=1e-12)


@settings(max_examples=60, deadline=None)
@given(corpus=CORPORA)
def test_a_batch_of_one_gets_the_same_reward_as_in_company(corpus):
    candidates, references = [candidate for candidate, _ in corpus], [references for _, references in corpus]
    together = cider_d(candidates, references, FREQUENCY).per_item
    alone = [cider_d([c], [r], FREQUENCY).corpus for c, r in corpus]
    np.testing.assert_allclose(alone, together, rtol=0, atol=1e-12)


def test_a_single_image_without_a_corpus_scores_zero_and_with_one_does_not():
    assert cider(["a dog runs"], [["a dog runs"]]).corpus == 0.0
    assert cider(["a dog runs"], [["a dog runs"]], FREQUENCY).corpus > 1.0


def test_words_nobody_counted_are_told_apart():
    frequency = document_frequency([["a dog runs", "the dog runs fast"], ["a red car"], ["a cat sleeps", "cat"]])
    scores = cider_d(["zebra", "zebra"], [["zebra"], ["gnu"]], frequency).per_item
    assert scores.tolist() == pytest.approx([10 / 4, 0.0])


@pytest.mark.parametrize("sigma", [0, -1, float("nan")])
def test_sigma_must_be_above_zero(sigma):
    with pytest.raises(UsageError, match="sigma"):
        cider_d(["a"], [["a"]], sigma=sigma)
