"""Sets of synonyms: a word's own, those of its irregular base forms, else those of the first base a rule gives."""

from __future__ import annotations

import pytest
from ofakit.scores.matching.wordnet import Synonyms

SETS = (
    "dog\n1 2\ncar\n3\nman\n4\nrun\n5 1\nbus\n6\nhope\n7\nhop\n8\ngo\n9\nbig\n10\nfine\n11\nfin\n12\nass\n13\na\n14\n"
)


@pytest.mark.parametrize(
    ("word", "numbers"),
    [
        ("dog", {1, 2}), ("dogs", {1, 2}), ("cat", set()), ("men", {4}), ("buses", {6}), ("went", {9, 5, 1}),
        ("hoping", {7}), ("hopes", {7}), ("finer", {12}), ("ass", {13}), ("as", set()), ("dogss", set()),
        ("dogsful", set()), ("", set()),
    ],
)  # fmt: skip
def test_by_hand(word, numbers):
    """`hoping` is tried with e first; `finer` first without; `as` is too short for a rule."""
    assert Synonyms.from_text(SETS, "go\nwent gone\nrun\nran went\n").sets(word) == numbers


def test_an_irregular_form_follows_no_rule():
    assert Synonyms.from_text(SETS, "go\ndogs\n").sets("dogs") == {9}
    assert Synonyms.from_text(SETS, "unknown\ndogs\n").sets("dogs") == set()


def test_of_equal_lines_the_last_counts():
    assert Synonyms.from_text("dog\n1\ndog\n2\n", "").sets("dog") == {2}
