"""Text is read as METEOR's `-norm` reads it: `normalized.jsonl` holds texts, each with what the program answered."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ofakit.scores.matching.english import english
from ofakit.scores.matching.normalizer import normalize

CASES = [json.loads(line) for line in Path(__file__).with_name("normalized.jsonl").read_text("utf-8").splitlines()]


def test_texts_as_the_program_reads_them():
    data = english()
    assert len(CASES) == 400
    found = [[text, normalize(text, data.abbreviations, data.before_numbers)] for text, _ in CASES]
    assert found == CASES


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("a dog  runs", "a dog runs"),
        ("do n't", "do n 't"),
        ("the 1990's dog's", "the 1990 's dog 's"),
        ("a man 's t-shirt", "a man ' s t shirt"),
        ("rock-a-by", "rock a-by"),
        ("1,000 men,women", "1,000 men , women"),
        ("Mr. Ape. No. 7. No. Seven", "mr. ape . no. 7 . no . seven"),
        ("wait...what", "wait ... what"),
        ("the u.s. flag", "the us flag"),
        ("\t\n ", ""),
    ],
)
def test_by_hand(text, tokens):
    assert normalize(text, {"Mr"}, {"No"}) == tokens


@given(st.text(st.sampled_from("abz09 ")))
def test_plain_text_takes_the_short_way_to_the_same_tokens(text):
    """A capital letter takes the long way."""
    assert normalize(text, (), ()) == normalize(f"Q {text}", (), ()).removeprefix("q").strip()
