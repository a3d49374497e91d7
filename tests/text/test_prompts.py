"""Prompts and cleaned captions."""

from __future__ import annotations

import string

import pytest
from ofakit.errors import UsageError
from ofakit.text import build_prompt, clean_caption
from ofakit.text.prompts import FACTUAL_PROMPT, STYLE_PROMPT


def test_the_style_stands_in_the_prompt_and_the_leading_space_stays():
    assert build_prompt(STYLE_PROMPT, "Calm") == " what does the image describe? reply in personality Calm."
    assert build_prompt(FACTUAL_PROMPT) == build_prompt(FACTUAL_PROMPT, None) == " what does the image describe?"


def test_braces_are_plain_characters():
    assert build_prompt("{a} {} {0} {{", "{} {x}") == "{a} {} {x} {0} {{"


@pytest.mark.parametrize(("template", "texts"), [(FACTUAL_PROMPT, ["Calm"]), (STYLE_PROMPT, []), ("{} {}", ["a"])])
def test_template_and_texts_must_fit(template, texts):
    with pytest.raises(UsageError, match="write '{}' where the style belongs"):
        build_prompt(template, *texts)


@pytest.mark.parametrize("text", ["Two dogs, side-by-side,\n run. ", "  ", "it's 3:30 p.m.!", "a\tb\u3000c é"])
@pytest.mark.parametrize("max_words", [2, 100])
def test_targets_are_cleaned_as_the_stock_code_cleans_them(text, max_words):
    words = "".join(c for c in text if c not in string.punctuation).split()
    assert clean_caption(text, max_words) == " ".join(words[:max_words])


def test_only_ascii_punctuation_is_removed():
    assert clean_caption("“Hi” — it’s $5… (ok)") == "“Hi” — it’s 5… ok"
    assert clean_caption("。、 ...") == "。、"
    assert clean_caption("...") == clean_caption("") == ""


def test_what_can_be_kept():
    assert clean_caption("It's A dog.", keep_punctuation=True) == "It's A dog."
    assert clean_caption("It's A dog.", lower_case=True) == "its a dog"
    assert clean_caption("It's A dog.") == "Its A dog"
    with pytest.raises(UsageError, match="max_words"):
        clean_caption("a", 0)
