"""Texts that are nearly the same, found by MinHash without comparing each with each.

A text is the set of its runs of three words. For each of 64 hash functions its smallest hash is kept; the share of
functions by which two texts agree estimates the Jaccard index of their sets. Texts that agree in one of 16 bands of
four are compared, so that two of a Jaccard index of 0.8 are found with probability 1 - (1 - 0.8^4)^16 > 0.9998.

Source: Broder, On the resemblance and containment of documents, 1997; banding: Leskovec, Rajaraman and Ullman, Mining
of Massive Datasets, chapter 3.
"""

from __future__ import annotations

import re
import zlib

import numpy as np

__all__ = ["NearDuplicates", "minhash"]

FUNCTIONS, BANDS, RUN = 64, 16, 3
WORD = re.compile(r"\w+")
_RNG = np.random.default_rng(20)
MULTIPLIERS = _RNG.integers(1, 2**63, FUNCTIONS, dtype=np.uint64) | np.uint64(1)
ADDENDS = _RNG.integers(0, 2**63, FUNCTIONS, dtype=np.uint64)


def minhash(text: str) -> np.ndarray | None:
    """The smallest hash of a text by each function.

    Args:
        text: In any case; only its words count.

    Returns:
        (64,) uint32; None for a text of fewer than three words.

    >>> bool((minhash("A dog, in the snow!") == minhash("a dog in the snow")).all())
    True
    """
    words = WORD.findall(text.lower())
    if len(words) < RUN:
        return None
    runs = {zlib.crc32(" ".join(words[k : k + RUN]).encode()) for k in range(len(words) - RUN + 1)}
    hashes = np.fromiter(runs, np.uint64, len(runs))[:, None] * MULTIPLIERS + ADDENDS
    return (hashes >> np.uint64(32)).astype(np.uint32).min(axis=0)


class NearDuplicates:
    """Finds texts that are nearly the same as one before. Holds about 2 kB a text.

    Args:
        threshold: The least estimated Jaccard index of two texts that count as nearly the same, 0 to 1.
    """

    def __init__(self, threshold: float = 0.8) -> None:
        self.threshold = threshold
        self._signatures: list[np.ndarray] = []
        self._ids: list[str] = []
        self._buckets: dict[tuple[int, bytes], int] = {}

    def add(self, own: str, text: str) -> str | None:
        """Add a text.

        Args:
            own: Its id.
            text: The text.

        Returns:
            The id of a text before it that is nearly the same; None if there is none. Such a text is not kept, so
            that of many alike each is said to be like the first.
        """
        signature = minhash(text)
        if signature is None:
            return None
        bands = [(k, band.tobytes()) for k, band in enumerate(signature.reshape(BANDS, -1))]
        for first in dict.fromkeys(self._buckets[band] for band in bands if band in self._buckets):
            if np.mean(self._signatures[first] == signature) >= self.threshold:
                return self._ids[first]
        for band in bands:
            self._buckets.setdefault(band, len(self._ids))
        self._signatures.append(signature)
        self._ids.append(own)
        return None
