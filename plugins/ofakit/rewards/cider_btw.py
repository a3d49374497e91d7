"""Minus CIDEr-D against the captions of similar images: a caption that fits those too is not specific to its image.

    {"type": "cider_btw", "images": 5, "weight": 0.2}

Beside `cider_d`, whose words, ends and document frequencies it has, it keeps a model from saying of all images what is
never quite wrong. Similar are the training images of the same style whose captions share the most rare words
(`_similar.SimilarImages`), so the reward of a caption depends on neither the batch nor the process it is in.

Source: CIDErBtw, Wang, Xu, Wang and Chan, ECCV 2020, https://arxiv.org/abs/2007.06877, whose similar images a
retrieval model finds.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ofakit.errors import UsageError
from ofakit.rewards._similar import SimilarImages
from ofakit.rewards.cider_d import CiderD

__all__ = ["CiderBtw"]


class CiderBtw:
    """Distinctiveness, from -10 to 0: 0 for a caption that shares no rare word with those of similar images.

    Args:
        images: How many similar images a caption is held against; all their captions count alike.
        sigma: Width of the length penalty, in words.
        document_frequency: A file that `tools/data.py document-frequency --for-reward` wrote; None counts the
            references that `prepare` is given.
        segmentation: What a word is in a script without spaces: `characters`, or `words`, which need jieba.

    Raises:
        UsageError: `images` is under 1, or the file is missing or not one for rewards.
    """

    def __init__(
        self,
        images: int = 5,
        sigma: float = 6.0,
        document_frequency: str | None = None,
        segmentation: str = "characters",
    ) -> None:
        if images < 1:
            raise UsageError(f"cider_btw: expected at least 1 similar image, found {images}")
        self.images, self.segmentation = images, segmentation
        self.agreement = CiderD(sigma, document_frequency, segmentation)
        self.similar: SimilarImages | None = None

    def prepare(self, references: Sequence[Sequence[str]], styles: Sequence[str | None]) -> None:
        """Learn which images are similar, and count n-grams, unless a file holds their counts.

        Args:
            references: Of each training example; those of one image in one style are to be one example, as SCST alone
                has them.
            styles: Of each training example.

        Raises:
            UsageError: No style has two images, or no caption has a word.
        """
        self.agreement.prepare(references, styles)
        self.similar = SimilarImages(references, styles, self.images, self.segmentation)

    def __call__(
        self, candidates: Sequence[str], references: Sequence[Sequence[str]], styles: Sequence[str | None]
    ) -> np.ndarray:
        """The reward of each candidate, (items,) float64; 0 in a style that no other image has.

        Args:
            candidates: One caption per item.
            references: All references of each item: they say which images are similar.
            styles: The style each item was asked for, or None.

        Raises:
            UsageError: `prepare` was not called.
        """
        if self.similar is None:
            raise UsageError("cider_btw knows no images: call prepare(references, styles) with the training captions")
        others = [self.similar(texts, style) for texts, style in zip(references, styles, strict=True)]
        held = [item for item, captions in enumerate(others) if captions]
        rewards = np.zeros(len(candidates))
        if held:
            captions = [candidates[item] for item in held]
            rewards[held] -= self.agreement(captions, [others[item] for item in held], [None] * len(held))
        return rewards
