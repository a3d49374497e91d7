"""Similar images: those whose captions share the most rare words, within a style, and never the image itself."""

from __future__ import annotations

import math
import pickle

import pytest
from ofakit.errors import UsageError
from ofakit.rewards._similar import SimilarImages

REFERENCES = [["a red car"], ["a black dog", "the dog"], ["a dog runs"], ["A red, shiny car!"], ["a cat sleeps"]]
NO_STYLE = [None] * len(REFERENCES)


def test_the_nearest_come_first_and_all_their_captions_are_given():
    similar = SimilarImages(REFERENCES, NO_STYLE, count=2)
    assert similar(["a red car"], None) == ["A red, shiny car!", "a dog runs"]
    assert similar(["a dog runs"], None)[:2] == ["a black dog", "the dog"]


def test_nearness_by_hand():
    """Of three images two have "dog" and two "red", one has "ball" and one "sky".

    scikit-learn's smoothed idf is log((1 + documents) / (1 + count)) + 1.
    """
    similar = SimilarImages([["red ball"], ["red dog"], ["dog sky"]], [None] * 3, count=3)
    common, rare = math.log(4 / 3) + 1, math.log(4 / 2) + 1
    expected = common**2 / (math.hypot(common, rare) * math.hypot(common, common))
    vectors = similar._vectors([("red ball",), ("red dog",)])
    assert (vectors @ vectors.T).toarray()[0, 1] == pytest.approx(expected)
    assert similar(["red ball"], None) == ["red dog", "dog sky"]


def test_an_image_that_was_not_trained_on_has_similar_ones_too():
    assert SimilarImages(REFERENCES, NO_STYLE, count=1)(["one cat, asleep"], None) == ["a cat sleeps"]


def test_only_images_in_the_same_style_are_near_whatever_its_spelling():
    references = [["a dog"], ["a dog grins"], ["a dog in love"], ["a dog sings"]]
    styles = ["happy", "Happy ", "sad", None]
    similar = SimilarImages(references, styles, count=3)
    assert similar(["a dog"], "HAPPY") == ["a dog grins"]
    assert similar(["a dog in love"], "sad") == similar(["a dog"], "unheard of") == []


def test_an_image_that_comes_twice_is_one_and_not_near_itself():
    twice = SimilarImages(REFERENCES * 2, NO_STYLE * 2, count=9)
    once = SimilarImages(REFERENCES, NO_STYLE, count=9)
    for texts in REFERENCES:
        assert twice(texts, None) == once(texts, None)
        assert not set(texts) & set(twice(texts, None))


def test_pickling_keeps_what_is_near():
    similar = SimilarImages(REFERENCES, NO_STYLE, count=2)
    before = similar(REFERENCES[1], None)
    assert pickle.loads(pickle.dumps(similar))(REFERENCES[1], None) == before


@pytest.mark.parametrize(
    ("references", "styles", "words"),
    [
        ([], [], "two images or more in a style, found 0"),
        ([["a dog"], ["a dog"]], [None, None], "found 1 that differ"),
        ([["a dog"], ["a cat"]], ["happy", "sad"], "two images or more in a style, found 2"),
        ([["..."], ["!"]], [None, None], "expected training captions with words"),
    ],
)
def test_images_that_nothing_can_be_told_apart_from_are_refused(references, styles, words):
    with pytest.raises(UsageError, match=words):
        SimilarImages(references, styles, count=1)
