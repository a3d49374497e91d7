"""The reward of a caption's length."""

from __future__ import annotations

import pytest
from ofakit.errors import UsageError
from ofakit.rewards.length import Length


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        ("one two three four", 0.0),
        ("one two", -0.5),
        ("1 2 3 4 5 6", -0.5),
        ("", -1.0),
        ("1 2 3 4 " * 3, -2.0),
        ("A, b - c. D!", 0.0),
    ],
)
def test_as_its_formula_says(caption, expected):
    """Of a wanted length of four; punctuation is no word."""
    assert Length(words=4)([caption], [["x"]], [None]).tolist() == [expected]


def test_the_wanted_length_is_the_mean_of_the_training_captions():
    length = Length()
    length.prepare([["A dog runs, fast.", "A dog!"], ["..."]], [None, None])
    assert length.words == pytest.approx((4 + 2 + 0) / 3)
    given = Length(words=7.5)
    given.prepare([["a"]], [None])
    assert given.words == 7.5


@pytest.mark.parametrize("references", [[], [[]], [["..."], ["", "!"]]])
def test_training_captions_without_words_are_refused(references):
    with pytest.raises(UsageError, match="expected training captions with words, found none"):
        Length().prepare(references, [None] * len(references))


@pytest.mark.parametrize("words", [0, -1, float("nan")])
def test_a_length_must_be_above_zero(words):
    with pytest.raises(UsageError, match="expected words above 0"):
        Length(words=words)
