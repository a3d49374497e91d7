"""What must hold of every score on all captions."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ofakit.errors import UsageError
from ofakit.scores import bleu, cider, cider_d, document_frequency, rouge_l

WORDS = st.sampled_from(["a", "dog", "cat", "runs", "sits", "on", "the", "grass", "red", "ball"])
CAPTIONS = st.lists(WORDS, max_size=12).map(" ".join)
CORPORA = st.lists(st.tuples(CAPTIONS, st.lists(CAPTIONS, min_size=1, max_size=4)), min_size=1, max_size=8)
SCORES = {
    "bleu1": lambda c, r: bleu(c, r)[0],
    "bleu2": lambda c, r: bleu(c, r)[1],
    "bleu3": lambda c, r: bleu(c, r)[2],
    "bleu4": lambda c, r: bleu(c, r)[3],
    "rouge_l": rouge_l,
    "cider": cider,
    "cider_d": cider_d,
    "cider_d of a corpus": lambda c, r: cider_d(c, r, FREQUENCY),
}
MAXIMUM = {"cider": 10.0, "cider_d": 10.0, "cider_d of a corpus": 10.0}
FREQUENCY = document_frequency([["a dog runs on the grass"], ["a cat sits"], ["the red ball", "a ball"]])
every_score = pytest.mark.parametrize("name", SCORES)


def columns(corpus):
    return [candidate for candidate, _ in corpus], [references for _, references in corpus]


@every_score
@settings(max_examples=60, deadline=None)
@given(corpus=CORPORA, seed=st.integers(0, 1000))
def test_the_order_of_images_and_references_does_not_matter(name, corpus, seed):
    generator = random.Random(seed)
    order = generator.sample(range(len(corpus)), len(corpus))
    moved = [(corpus[i][0], generator.sample(corpus[i][1], len(corpus[i][1]))) for i in order]
    before, after = SCORES[name](*columns(corpus)), SCORES[name](*columns(moved))
    assert after.corpus == pytest.approx(before.corpus, abs=1e-9)
    np.testing.assert_allclose(after.per_item, before.per_item[order], rtol=0, atol=1e-9)


@every_score
@settings(max_examples=60, deadline=None)
@given(corpus=CORPORA)
def test_scores_are_in_range_and_never_nan(name, corpus):
    score = SCORES[name](*columns(corpus))
    assert isinstance(score.corpus, float)
    assert score.per_item.shape == (len(corpus),)
    for value in (score.corpus, *score.per_item):
        assert 0.0 <= value <= MAXIMUM.get(name, 1.0) + 1e-9


@every_score
@settings(max_examples=40, deadline=None)
@given(data=st.data(), items=st.integers(2, 6))
def test_a_candidate_equal_to_all_its_references_gets_the_maximum(name, data, items):
    """Four words or more, of which each image has some of its own, so that no weight is zero."""
    captions = [" ".join([f"own{item}", *data.draw(st.lists(WORDS, min_size=3, max_size=9))]) for item in range(items)]
    if name.startswith("cider"):
        captions = [" ".join(f"{word}{item}" for word in caption.split()) for item, caption in enumerate(captions)]
    score = SCORES[name](captions, [[caption, caption] for caption in captions])
    np.testing.assert_allclose(score.per_item, MAXIMUM.get(name, 1.0), rtol=0, atol=1e-8)
    assert score.corpus == pytest.approx(MAXIMUM.get(name, 1.0), abs=1e-8)


@every_score
@settings(max_examples=40, deadline=None)
@given(corpus=CORPORA)
def test_scoring_again_gives_the_same_bits(name, corpus):
    first, again = SCORES[name](*columns(corpus)), SCORES[name](*columns(corpus))
    assert first.corpus == again.corpus
    assert first.per_item.tobytes() == again.per_item.tobytes()


@every_score
@pytest.mark.parametrize(
    ("candidates", "references", "message"),
    [
        (["a"], [], "1 candidates and 0 reference lists"),
        ([], [], "nothing to score"),
        ("a dog", ["a dog"], "bare string"),
        (["a"], ["a dog"], r"references\[0\]: expected a list of strings, found 'a dog'"),
        (["a"], [[]], r"references\[0\]: expected at least one reference"),
        (["a", None], [["a"], ["a"]], r"candidates\[1\]: expected a string, found None"),
        (["a"], [["a", 3]], r"references\[0\]\[1\]: expected a string, found 3"),
        (["a"], [5], r"references\[0\]: expected a list of strings, found 5"),
    ],
)
def test_what_does_not_fit_is_named(name, candidates, references, message):
    with pytest.raises(UsageError, match=message):
        SCORES[name](candidates, references)
