"""The Chinese basic tokenization, on characters for which the order of its steps matters."""

from __future__ import annotations

import pickle

import pytest
from ofakit.text.normalization import CLEAN, basic_tokenize, lower


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Ünïcödé", ["unicode"]),
        ("cafe\u0301 İs", ["cafe", "is"]),
        ("a\u200bb\x00c\ufffdd", ["abcd"]),
        ("a\u2028b\u3000c\u00a0d", ["a", "b", "c", "d"]),
        ("汉a字", ["汉", "a", "字"]),
        ("\U0002cea5a", ["a"]),
        ("1,000.5%", ["1", ",", "000", ".", "5", "%"]),
        ("a\u037eb", ["a", ";", "b"]),
        ("<mask\u0301> <mask>", ["<mask>", "<mask>"]),
        ("x<mask>", ["x", "<", "mask", ">"]),
        ("", []),
    ],
)
def test_words(text, words):
    assert basic_tokenize(text, never_split=frozenset(["<mask>"])).split() == words


def test_options():
    assert basic_tokenize("Café", lower_case=False) == "Café"
    assert basic_tokenize("Café", lower_case=False, strip_accents=True) == "Cafe"
    assert basic_tokenize("Café", strip_accents=False) == "café"
    assert basic_tokenize("汉字", space_chinese=False) == "汉字"


def test_a_character_table_survives_pickling():
    assert "a\x00b\t".translate(pickle.loads(pickle.dumps(CLEAN))) == "ab "


@pytest.mark.parametrize(
    ("text", "expected"), [("ΛΌΓΟΣ ΣΑΣ", "λόγοσ σασ"), ("İ", "i\u0307"), ("ẞß Ǆ", "ßß ǆ"), ("", "")]
)
def test_each_character_is_lower_cased_on_its_own(text, expected):
    assert lower(text) == expected == "".join(character.lower() for character in text)
