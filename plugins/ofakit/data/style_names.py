"""Names of styles: which of them mean the same style, and how one is shown."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

__all__ = ["first_spellings", "same_style"]


def same_style(name: str) -> str:
    """What two spellings of one style have in common: neither case, white space nor Unicode form counts.

    Args:
        name: A style.

    >>> same_style(" Money-Minded ") == same_style("money-minded")
    True
    """
    return " ".join(unicodedata.normalize("NFC", name).casefold().split())


def first_spellings(styles: Iterable[str | None]) -> dict[str, str]:
    """Every style once, in order of first appearance.

    Args:
        styles: One an example; None and blank ones are passed over.

    Returns:
        What the spellings of a style have in common (`same_style`) to the first of them, white space collapsed.

    >>> first_spellings(["Old  man", None, "happy", "old man"])
    {'old man': 'Old man', 'happy': 'happy'}
    """
    spellings: dict[str, str] = {}
    for style in styles:
        if style and style.strip():
            spellings.setdefault(same_style(style), " ".join(style.split()))
    return spellings
