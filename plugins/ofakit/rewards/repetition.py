"""Minus the share of a caption's n-grams that repeat an earlier one, from -1 to 0.

{"type": "repetition", "order": 2, "weight": 0.5}
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ofakit.errors import UsageError
from ofakit.rewards._words import plain

__all__ = ["Repetition"]


class Repetition:
    """-(1 - distinct n-grams / n-grams); 0 for a caption without n-grams.

    Args:
        order: n, in words.

    Raises:
        UsageError: `order` is under 1.
    """

    def __init__(self, order: int = 2) -> None:
        if order < 1:
            raise UsageError(f"repetition: expected an order of at least 1, found {order}")
        self.order = order

    def __call__(
        self, candidates: Sequence[str], references: Sequence[Sequence[str]], styles: Sequence[str | None]
    ) -> np.ndarray:
        """The reward of each candidate, (items,) float64.

        Args:
            candidates: One caption per item.
            references: Not used.
            styles: Not used.
        """
        return np.array([-self._repeated(plain(text).split()) for text in candidates], np.float64) + 0.0

    def _repeated(self, words: list[str]) -> float:
        ngrams = list(zip(*(words[start:] for start in range(self.order)), strict=False))
        return 1 - len(set(ngrams)) / len(ngrams) if ngrams else 0.0
