"""Stems are those of METEOR's own stemmer: `stems.txt` holds words, each with what the program answered."""

from __future__ import annotations

from pathlib import Path

import pytest
from ofakit.scores.matching.stemmer import english_stem

STEMS = [line.split(" ") for line in Path(__file__).with_name("stems.txt").read_text("utf-8").splitlines()]


def test_stems_as_the_program_has_them():
    assert len(STEMS) > 1900
    assert [(word, english_stem(word)) for word, _ in STEMS] == [(word, stem) for word, stem in STEMS]


@pytest.mark.parametrize(
    ("word", "stem"),
    [
        ("", ""), ("y", "y"), ("is", "is"), ("'s", "'s"), ("news", "news"), ("herring", "herring"),
        ("generous", "generous"), ("communism", "communism"), ("arsenic", "arsenic"), ("ties", "tie"), ("cries", "cri"),
        ("hopping", "hop"), ("hoping", "hope"), ("yyy", "yyy"), ("中文字", "中文字"),
    ],
)  # fmt: skip
def test_by_hand(word, stem):
    assert english_stem(word) == stem
