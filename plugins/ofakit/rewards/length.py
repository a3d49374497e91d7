"""How close a caption's length is to the target: minus their relative difference, 0 at best.

{"type": "length", "words": 12, "weight": 0.1}
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ofakit.errors import UsageError
from ofakit.rewards._words import plain

__all__ = ["Length"]


class Length:
    """-|words - wanted| / wanted.

    Args:
        words: The wanted length; None takes the mean length of the training captions.

    Raises:
        UsageError: `words` is not above 0.
    """

    def __init__(self, words: float | None = None) -> None:
        if words is not None and not words > 0:
            raise UsageError(
                f"length: expected words above 0, or null for the mean of the training captions, found {words}"
            )
        self.words = words

    def prepare(self, references: Sequence[Sequence[str]], styles: Sequence[str | None]) -> None:
        """Take the mean length of the references, unless one was given.

        Args:
            references: Of each training example.
            styles: Not used.

        Raises:
            UsageError: The references have no words.
        """
        if self.words is not None:
            return
        lengths = [len(plain(text).split()) for texts in references for text in texts]
        if not any(lengths):
            raise UsageError(
                f"length: expected training captions with words, found none in {len(lengths)} captions; set words"
            )
        self.words = float(np.mean(lengths))

    def __call__(
        self, candidates: Sequence[str], references: Sequence[Sequence[str]], styles: Sequence[str | None]
    ) -> np.ndarray:
        """The reward of each candidate, (items,) float64, at most 0.

        Args:
            candidates: One caption per item.
            references: Not used.
            styles: Not used.

        Raises:
            UsageError: No length was given and `prepare` was not called.
        """
        if self.words is None:
            raise UsageError("length has no target length: set words, or call prepare(references, styles)")
        lengths = np.array([len(plain(text).split()) for text in candidates], np.float64)
        return -np.abs(lengths - self.words) / self.words
