"""BLEU-4 of each caption against its references, from 0 to 1.

{"type": "bleu4", "weight": 1.0}
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ofakit.rewards._words import plain
from ofakit.scores.bleu import bleu

__all__ = ["Bleu4"]


class Bleu4:
    """BLEU-4.

    Args:
        segmentation: What a word is in a script without spaces: `characters`, or `words`, which need jieba.
    """

    def __init__(self, segmentation: str = "characters") -> None:
        self.segmentation = segmentation

    def __call__(
        self, candidates: Sequence[str], references: Sequence[Sequence[str]], styles: Sequence[str | None]
    ) -> np.ndarray:
        """The reward of each candidate, (items,) float64.

        Args:
            candidates: One caption per item.
            references: All references of each item.
            styles: Not used.
        """
        plain_references = [[plain(text, self.segmentation) for text in texts] for texts in references]
        return bleu([plain(text, self.segmentation) for text in candidates], plain_references)[3].per_item
