"""The words of a caption as rewards count them."""

from __future__ import annotations

import functools

from ofakit.scores.segmentation import segmented
from ofakit.text.prompts import clean_caption

__all__ = ["plain"]


@functools.lru_cache(maxsize=2**17)
def plain(caption: str, segmentation: str = "characters") -> str:
    """The caption in lower case, without punctuation, its words separated by one space.

    A character of a script without spaces, such as Chinese, is a word, as it is when captions are scored.

    Results are cached, since the references of an image come up again in every epoch.

    Args:
        caption: Any text.
        segmentation: What a word is in a script without spaces, as in `scores.segmentation`.

    >>> plain(" A dog runs, fast. ")
    'a dog runs fast'
    >>> plain("一只狗。")
    '一 只 狗'
    """
    return " ".join(segmented(clean_caption(caption, lower_case=True), segmentation).split())
