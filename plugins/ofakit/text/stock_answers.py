"""Captions as ModelScope's OFA returns them: English without punctuation, Chinese without spaces.

Source: ModelScope 1.40.2, `models/multi_modal/ofa_for_all_tasks.py`, `postprocess` and `detokenizer`.
"""

from __future__ import annotations

import re

from ofakit.text.prompts import WITHOUT_PUNCTUATION

__all__ = ["stock_answer"]

OTHER = r"[^ a-zA-Z0-9.,:!?]"
AROUND_OTHERS = re.compile(rf"(?<={OTHER}) +| +(?={OTHER})")


def stock_answer(text: str, language: str) -> str:
    """A caption as the stock pipeline gives it.

    Args:
        text: What the tokenizer made of the ids.
        language: `en` or `zh`.

    >>> stock_answer("a dog, running.", "en")
    'a dog running'
    >>> stock_answer("一 只 狗 on the 海 滩", "zh")
    '一只狗on the海滩'
    """
    return text.translate(WITHOUT_PUNCTUATION).strip() if language == "en" else AROUND_OTHERS.sub("", text)
