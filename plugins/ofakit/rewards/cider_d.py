"""CIDEr-D with the document frequencies of the training captions, the reward of OFA's SCST.

    {"type": "cider_d", "sigma": 6.0}

Punctuation is removed and "<eos>" is appended as a word of its own to candidates and references alike, so that a
caption that breaks off scores less. Source: OFA-Sys/OFA `criterions/scst_loss.py`. Document frequencies never come from
the batch: an n-gram that all its images have would then be worth nothing, and so would every n-gram in a batch of one.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ofakit.errors import UsageError
from ofakit.rewards._words import plain
from ofakit.scores.cider import cider_d
from ofakit.scores.document_frequencies import END, DocumentFrequency, document_frequency

__all__ = ["CiderD", "ended"]


class CiderD:
    """Agreement with the references, from 0 to 10.

    Args:
        sigma: Width of the length penalty, in words.
        document_frequency: A file that `tools/data.py document-frequency --for-reward` wrote; None counts the
            references that `prepare` is given.
        segmentation: What a word is in a script without spaces: `characters`, or `words`, which need jieba.

    Raises:
        UsageError: The file is missing, or was counted on captions that do not end with " <eos>".
    """

    def __init__(
        self, sigma: float = 6.0, document_frequency: str | None = None, segmentation: str = "characters"
    ) -> None:
        self.sigma = sigma
        self.segmentation = segmentation
        self.frequency = None if document_frequency is None else DocumentFrequency.load(document_frequency)
        if self.frequency is not None and not self.frequency.for_reward:
            raise UsageError(
                f"{document_frequency}: expected counts of captions that end with {END!r}, as in this reward, found a"
                " file for scoring; make one with: python tools/data.py document-frequency --for-reward"
            )

    def prepare(self, references: Sequence[Sequence[str]], styles: Sequence[str | None]) -> None:
        """Count n-grams, unless a file holds their counts.

        Args:
            references: Of each training example; each example is a document.
            styles: Not used.
        """
        if self.frequency is None:
            self.frequency = document_frequency(self._ended(references))

    def __call__(
        self, candidates: Sequence[str], references: Sequence[Sequence[str]], styles: Sequence[str | None]
    ) -> np.ndarray:
        """The reward of each candidate, (items,) float64.

        Args:
            candidates: One caption per item.
            references: All references of each item.
            styles: Not used.

        Raises:
            UsageError: `prepare` was not called.
        """
        if self.frequency is None:
            raise UsageError(
                "cider_d has no document frequency: call prepare(references, styles) with the training captions, or "
                "set document_frequency to a file"
            )
        ended_candidates = [ended(text, self.segmentation) for text in candidates]
        return cider_d(ended_candidates, self._ended(references), self.frequency, self.sigma).per_item

    def _ended(self, references: Sequence[Sequence[str]]) -> list[list[str]]:
        return [[ended(text, self.segmentation) for text in texts] for texts in references]


def ended(caption: str, segmentation: str = "characters") -> str:
    """The words of a caption and the word that marks its end.

    Args:
        caption: Any text.
        segmentation: What a word is in a script without spaces, as in `scores.segmentation`.

    >>> ended("A dog runs.")
    'a dog runs <eos>'
    """
    return f"{plain(caption, segmentation)} {END}".lstrip()
