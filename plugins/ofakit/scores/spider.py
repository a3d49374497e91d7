"""SPIDEr, the mean of SPICE and CIDEr (Liu et al. 2017, https://arxiv.org/abs/1612.00370)."""

from __future__ import annotations

from collections.abc import Sequence

from ofakit.scores.cider import cider
from ofakit.scores.score import Score
from ofakit.scores.spice import spice

__all__ = ["spider"]


def spider(candidates: Sequence[str], references: Sequence[Sequence[str]], timeout: float | None = None) -> Score:
    """SPIDEr, from 0 to 5.5; the corpus score is the mean over items. CIDEr is that of `cider`.

    Args:
        candidates: Tokenized strings, one per item.
        references: Tokenized strings, at least one per item.
        timeout: Seconds until Java is stopped, as in `spice`.

    Raises:
        UsageError: The lists do not match, or something in them is not a string.
        MissingScoreError: SPICE cannot be computed here.
    """
    per_item = (spice(candidates, references, timeout).per_item + cider(candidates, references).per_item) / 2
    return Score(float(per_item.mean()), per_item)
