"""Words and marks as spaCy cuts them; the expected ones were made with spaCy 3.8."""

from __future__ import annotations

import importlib.util
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ofakit.retrieval.english_tokens import english_tokens


def tokens(text):
    return [text[start : start + token.length] for start, token in english_tokens(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Dr. Smith's K-theory (1947).", ["Dr.", "Smith", "'s", "K", "-", "theory", "(", "1947", ")", "."]),
        ("Baum–Connes, U.S. and USA.", ["Baum", "–", "Connes", ",", "U.S.", "and", "USA", "."]),
        ("at 3.30 p.m. on Jan. 5th.", ["at", "3.30", "p.m.", "on", "Jan.", "5th", "."]),
        ("$3.5 million... US$7, 5km²", ["$", "3.5", "million", "...", "US$", "7", ",", "5", "km²"]),
        ("a\nb  c \n", ["a", "\n", "b", " ", "c", "\n"]),
        (" x\t", [" ", "x", "\t"]),
        ("flow--i.e., the", ["flow", "--", "i.e.", ",", "the"]),
        ("says Dr.Bush, and so.Then", ["says", "Dr.", "Bush", ",", "and", "so", ".", "Then"]),
        ("see http://a.org/b.c, me@x.org", ["see", "http://a.org/b.c", ",", "me@x.org"]),
        ("(1947): 10,000 a,b 3-4 x=y 2+3", ["(", "1947", "):", "10,000", "a", ",", "b", "3", "-", "4", *"x=y2+3"]),
        ("", []),
    ],
)
def test_where_a_text_is_cut(text, expected):
    assert tokens(text) == expected


@pytest.mark.parametrize(("text", "count"), [("It's", 2), ("I don't know.", 5), ("cannot", 2), ("They'd've", 3)])
def test_contractions_count_as_what_they_are_of(text, count):
    assert len(tokens(text)) == count


@given(st.text(alphabet="ab.A,'-(1 \n:é!", max_size=40))
def test_tokens_hold_all_of_a_text_but_single_spaces(text):
    rest, end = [], 0
    for start, token in english_tokens(text):
        assert token.length > 0 and start >= end
        rest.append(text[end:start])
        end = start + token.length
    assert set([*rest, text[end:]]) <= {"", " "}


def test_marks_and_ends():
    found = {text: token for text in (".", "!", "?", ",", '"', "...", "a") for _, token in english_tokens(text)}
    assert [text for text, token in found.items() if token.ends] == [".", "!", "?"]
    assert [text for text, token in found.items() if token.mark] == [".", "!", "?", ",", '"', "..."]


@pytest.mark.skipif(importlib.util.find_spec("spacy") is None, reason="spaCy is not installed")
def test_real_texts_are_cut_as_spacy_cuts_them(shared):
    from spacy.lang.en import English

    tokenizer = English().tokenizer
    differing = total = 0
    for name in ("flag_kb/passages.jsonl", "ir/cranfield/corpus.jsonl"):
        for line in (shared / "data" / name).read_text(encoding="utf-8").splitlines()[::20]:
            text = json.loads(line)["text"]
            total += 1
            differing += len(tokenizer(text)) != len(tokens(text))
    assert total > 200 and differing <= total // 200
