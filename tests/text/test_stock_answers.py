"""Captions as ModelScope's OFA gives them out; the right answers were read off its regular expression."""

from __future__ import annotations

import pytest
from ofakit.text.stock_answers import stock_answer


@pytest.mark.parametrize(
    ("text", "language", "expected"),
    [
        (" a dog's, <code_3> end.", "en", "a dogs code3 end"),
        ("一 只 狗 on the 海 滩", "zh", "一只狗on the海滩"),
        ("a  b 一  c ,d", "zh", "a  b一c ,d"),
        ("", "zh", ""),
    ],
)
def test_the_answer_is_the_stock_one(text, language, expected):
    assert stock_answer(text, language) == expected
