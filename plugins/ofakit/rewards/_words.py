"""The words of a caption as rewards count them."""

from __future__ import annotations

import functools

from ofakit.text.prompts import clean_caption

__all__ = ["plain"]


@functools.lru_cache(maxsize=2**17)
def plain(caption: str) -> str:
    """The caption in lower case, without punctuation, its words separated by one space.

    Results are cached, since the references of an image come up again in every epoch.

    Args:
        caption: Any text.

    >>> plain(" A dog runs, fast. ")
    'a dog runs fast'
    """
    return clean_caption(caption, lower_case=True)
