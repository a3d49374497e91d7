"""The tables of characters: well-formed, apart from each other, and those of Unicode 6.2."""

from __future__ import annotations

import unicodedata
from itertools import combinations, pairwise

import pytest
from ofakit.scores.ptb.characters import DIGITS, LETTERS, MARKS, SYMBOLS, character_ranges

TABLES = {"digits": DIGITS, "letters": LETTERS, "marks": MARKS, "symbols": SYMBOLS}


def members(table: str) -> set[str]:
    return {chr(point) for first, last in character_ranges(table) for point in range(first, last + 1)}


def test_points_and_ranges_are_hexadecimal():
    assert character_ranges("0-9\n  aa\tff21-ff3a") == [(0, 9), (170, 170), (0xFF21, 0xFF3A)]
    assert character_ranges("") == []


@pytest.mark.parametrize("name", TABLES)
def test_ranges_ascend_and_do_not_touch(name):
    ranges = character_ranges(TABLES[name])
    assert all(first <= last for first, last in ranges)
    assert all(before[1] + 1 < after[0] for before, after in pairwise(ranges))


def test_no_character_is_in_two_tables():
    for one, other in combinations(TABLES, 2):
        assert not members(TABLES[one]) & members(TABLES[other]), (one, other)


def test_digits_are_those_of_unicode_in_tens():
    for first, last in character_ranges(DIGITS):
        assert [unicodedata.decimal(chr(point)) for point in range(first, last + 1)] == list(range(10))


def test_letters_are_letters_up_to_unicode_6_2():
    """Two Mongolian letters among them are marks in later versions of Unicode."""
    letters = members(LETTERS)
    assert set("azAZéßжאع漢かがｱ") <= letters
    others = {character for character in letters if not unicodedata.category(character).startswith("L")}
    assert others <= {"\u1885", "\u1886"} <= letters
    assert "\u0527" in letters, "of Unicode 6.0"
    assert "\u0528" not in letters and "\u037f" not in letters, "of Unicode 7.0"
    assert not letters & set("0_-'.,@ \u00ad\u0301")


def test_symbols_are_outside_ascii_and_the_soft_hyphen_is_a_mark():
    assert all(ord(character) >= 0x80 for character in members(SYMBOLS) | members(MARKS))
    assert set("€£°©→☺、") <= members(SYMBOLS)
    assert {"\u00ad", "\u0301"} <= members(MARKS)
