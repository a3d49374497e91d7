"""CLIPScore and RefCLIPScore from vectors of images and texts (Hessel et al. 2021, https://arxiv.org/abs/2104.08718).

    CLIPScore = 2.5 max(cos(image, caption), 0)
    RefCLIPScore = the harmonic mean of CLIPScore and max(cos(caption, its nearest reference), 0)

The vectors are those of CLIP for the image and for "A photo depicts " before each text; `inference.ClipScorer` makes
them.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise

import numpy as np

from ofakit.errors import UsageError
from ofakit.scores.score import Score

__all__ = ["clip_score", "ref_clip_score"]

WEIGHT = 2.5
"""Brings what CLIP gives good captions near to 1."""


def clip_score(images: np.ndarray, candidates: np.ndarray) -> Score:
    """CLIPScore, from 0 to 2.5; the corpus score is the mean over items.

    Args:
        images: Float, shape (items, d), of any length but 0: the images.
        candidates: Float, shape (items, d): their captions.

    Raises:
        UsageError: The shapes do not match, there is nothing to score, or a vector is 0 or not finite.

    >>> clip_score(np.array([[2.0, 0.0], [0.0, 1.0]]), np.array([[0.8, 0.6], [0.0, -1.0]])).per_item.round(4).tolist()
    [2.0, 0.0]
    """
    images, candidates = _unit(images, "images"), _unit(candidates, "candidates")
    if images.shape != candidates.shape:
        raise UsageError(f"expected as many images as candidates, found shapes {images.shape} and {candidates.shape}")
    per_item = WEIGHT * np.maximum((images * candidates).sum(axis=1), 0)
    return Score(float(per_item.mean()), per_item)


def ref_clip_score(images: np.ndarray, candidates: np.ndarray, references: Sequence[np.ndarray]) -> Score:
    """RefCLIPScore, from 0 to 10/7; the corpus score is the mean over items.

    Args:
        images: Float, shape (items, d): the images.
        candidates: Float, shape (items, d): their captions.
        references: Float, shape (references of the item, d) for each item, at least one.

    Raises:
        UsageError: As `clip_score`, or an item has no references.

    >>> image, caption = np.array([[1.0, 0.0]]), np.array([[0.8, 0.6]])
    >>> ref_clip_score(image, caption, [np.array([[0.0, 1.0], [0.6, 0.8]])]).corpus == 2 * 2.0 * 0.96 / 2.96
    True
    """
    seen = clip_score(images, candidates).per_item
    counts = [len(own) for own in references]
    if len(counts) != len(seen) or not all(counts):
        raise UsageError(f"expected references for each of {len(seen)} items, found {len(counts)} with {counts[:10]}")
    flat, own = _unit(np.concatenate(list(references)), "references"), _unit(candidates, "candidates")
    near = (flat * np.repeat(own, counts, axis=0)).sum(axis=1)
    nearest = np.array([near[start:end].max() for start, end in pairwise(accumulate(counts, initial=0))])
    said = np.maximum(nearest, 0)
    both = seen + said
    per_item = np.divide(2 * seen * said, both, out=np.zeros_like(both), where=both > 0)
    return Score(float(per_item.mean()), per_item)


def _unit(vectors: np.ndarray, name: str) -> np.ndarray:
    """Vectors of length 1, float64."""
    found = np.asarray(vectors, dtype=np.float64)
    if found.ndim != 2 or not len(found):
        raise UsageError(f"{name}: expected vectors of shape (n, d), n from 1 up, found shape {found.shape}")
    lengths = np.linalg.norm(found, axis=1, keepdims=True)
    bad = np.flatnonzero(~(np.isfinite(lengths) & (lengths > 0)))
    if len(bad):
        raise UsageError(f"{name}[{bad[0]}]: expected a finite vector other than 0, found length {lengths[bad[0], 0]}")
    return found / lengths
