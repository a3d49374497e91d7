"""Names of styles: which of them mean the same style, and how a style is shown."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

__all__ = ["SENTIMENTS", "first_spellings", "same_style"]

SENTIMENTS = {1: "positive", 0: "negative"}
"""The styles that SentiCap writes as numbers."""


def same_style(name: str) -> str:
    """What the spellings of a style have in common; case, white space and Unicode form do not count.

    Args:
        name: A style.

    >>> same_style(" Money-Minded ") == same_style("money-minded")
    True
    """
    return " ".join(unicodedata.normalize("NFC", name).casefold().split())


def first_spellings(styles: Iterable[str | None]) -> dict[str, str]:
    """Every style once, in order of first appearance.

    Args:
        styles: One per example; None and blank ones are skipped.

    Returns:
        The first spelling of each style, white space collapsed, by what its spellings have in common (`same_style`).

    >>> first_spellings(["Old  man", None, "happy", "old man"])
    {'old man': 'Old man', 'happy': 'happy'}
    """
    spellings: dict[str, str] = {}
    for style in styles:
        if style and style.strip():
            spellings.setdefault(same_style(style), " ".join(style.split()))
    return spellings
