"""Spellings of a style are one style, shown as it was spelled first."""

import pytest
from ofakit.data.style_names import first_spellings, same_style


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("Old man", " old  MAN ", True),
        ("caf\u00e9", "CAFE\u0301", True),
        ("Straße", "STRASSE", True),
        ("old-man", "old man", False),
        ("happy", "happier", False),
    ],
)
def test_case_white_space_and_unicode_form_do_not_count(one, other, same):
    assert (same_style(one) == same_style(other)) is same


def test_the_first_spelling_is_shown_with_single_spaces():
    styles = ["calm", None, " Old \t man", "", "  ", "OLD MAN", "Calm", "new"]
    assert list(first_spellings(styles).items()) == [("calm", "calm"), ("old man", "Old man"), ("new", "new")]


def test_without_styles_there_are_no_spellings():
    assert first_spellings([None, " "]) == {}
