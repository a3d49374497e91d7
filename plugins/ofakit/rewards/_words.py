"""The words of a caption as rewards count them."""

from __future__ import annotations

import functools

from ofakit.text.prompts import clean_caption

__all__ = ["plain"]


@functools.lru_cache(maxsize=2**17)
def plain(caption: str) -> str:
    """The caption lower-cased and without punctuation, one space between two words.

    Remembered, since the references of an image come again in every epoch.

    Args:
        caption: Any text.

    >>> plain(" A dog runs, fast. ")
    'a dog runs fast'
    """
    return clean_caption(caption, lower_case=True)
