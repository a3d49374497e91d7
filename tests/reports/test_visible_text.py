"""Every character of data is seen, or named."""

import pytest
from ofakit.reports.visible_text import shortened, visible


@pytest.mark.parametrize("code", [0, 7, 13, 27, 127, 133, 0x2028, 0x202E, 0x2066, 0xD800, 0xDFFF, 0xFEFF, 0xFFFF])
def test_what_cannot_be_seen_is_named(code):
    assert visible(f"a{chr(code)}b") == f"a⟨U+{code:04X}⟩b"


@pytest.mark.parametrize("text", ["", "größe", "一只狗", "كلب", "👩‍👩‍👧", "a\tb\nc", "<b>&amp;{{ x }}"])
def test_other_text_stays(text):
    assert visible(text) == text


def test_all_of_unicode_can_be_written_afterwards():
    visible("".join(map(chr, range(0x110000)))).encode()


def test_a_long_text_says_how_long_it_was():
    assert shortened("x" * 1000, 10) == "x" * 10 + " … (1,000 characters)"
    assert shortened("x" * 10, 10) == "x" * 10
