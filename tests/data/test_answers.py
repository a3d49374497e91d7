"""Answers in texts, as meerqat finds them, and strictly."""

from __future__ import annotations

import json

import pytest
from ofakit.data.answers import AnswerMatcher, normalized_answer


def test_answers_as_meerqat_compares_them(shared):
    golden = json.loads((shared / "golden" / "retrieval" / "meerqat.json").read_text(encoding="utf-8"))
    expected = golden["answer_preprocess"]
    assert {text: normalized_answer(text) for text in expected} == expected


@pytest.mark.parametrize(
    ("answers", "text", "loose", "strict"),
    [
        (["£5"], "It cost £5 in 1970.", False, True),
        (["the"], "Anything", True, False),
        (["the"], "", False, False),
        ([], "Anything", False, False),
        (["4"], "Number 42", False, False),
        (["(b+)+$"], "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbc", False, False),
        (["x", "Levi's"], "LEVIS jeans", True, True),
        (["C\u00f4te d'Ivoire"], "the c\u00f4te   divoire", True, True),
    ],
)
def test_loose_and_strict(answers, text, loose, strict):
    assert (AnswerMatcher(answers)(text), AnswerMatcher(answers, strict=True)(text)) == (loose, strict)
