"""Whether a passage or a question has any of what a vector is of; one that has none is left out and counted."""

from __future__ import annotations

from collections.abc import Collection

from ofakit.data.passage import Passage
from ofakit.data.query import Query

__all__ = ["has_content"]


def has_content(item: Passage | Query, modalities: Collection[str]) -> bool:
    """Whether there is anything in an item to look at.

    Args:
        item: A passage, whose title is a text too, or a question.
        modalities: Which of `text` and `image` are looked at.

    >>> has_content(Query("q", " "), ["text"]), has_content(Passage("p", title="Dogs"), ["text", "image"])
    (False, True)
    """
    text = (item.text or "").strip() or (getattr(item, "title", None) or "").strip()
    return bool("text" in modalities and text) or ("image" in modalities and item.image is not None)
