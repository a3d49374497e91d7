"""Gives a flat emblem other colours, so that a few emblems are enough to learn to match any.

A flat emblem has few colours. They are separated once (Pillow's quantisation by maximum coverage); then every use may
paint each region again. Both sides of a training pair are made from the painted emblem, so they agree.

    {"augmentation": {"recolor": 0.7, "mirror": 0.3}}
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from ofakit.errors import UsageError

__all__ = ["Regions", "paint", "random_palette", "separate"]

# The colours of dyes and inks. Half of what is drawn comes from here, for what is matched is made of such colours.
INKS = np.array(
    [
        *[(206, 17, 38), (255, 0, 0), (178, 34, 52), (128, 20, 60), (255, 130, 0), (252, 209, 22), (255, 255, 0)],
        *[(0, 40, 104), (0, 56, 168), (0, 102, 204), (116, 172, 223), (0, 160, 222)],
        *[(0, 122, 61), (0, 158, 96), (60, 140, 40), (120, 70, 40), (130, 130, 130)],
        *[(255, 255, 255)] * 3,
        *[(0, 0, 0)] * 2,
    ],
    np.float64,
)
INK_DEVIATION = 14.0
TRIES = 4


@dataclass(frozen=True)
class Regions:
    """An emblem as regions of one colour each.

    Attributes:
        labels: (h, w) uint8, the region of each pixel.
        palette: (n, 3) uint8, the regions' colours, the largest region first.
    """

    labels: np.ndarray
    palette: np.ndarray


def separate(emblem: Image.Image, colors: int = 8, distance: float = 40.0) -> Regions:
    """Find the regions of one colour.

    Args:
        emblem: The flat emblem.
        colors: At most so many, 1..256.
        distance: Colours nearer than this (Euclidean, RGB 0..255) are one: edges and compression make such colours.

    Returns:
        The regions.

    Raises:
        UsageError: `colors` is out of range.

    >>> separate(Image.new("RGB", (3, 2), (255, 0, 0))).palette.tolist()
    [[255, 0, 0]]
    """
    if not 1 <= colors <= 256:
        raise UsageError(f"expected 1 to 256 colors, found {colors}")
    reduced = emblem.convert("RGB").quantize(colors, method=Image.Quantize.MAXCOVERAGE, kmeans=2)
    table = np.array(reduced.getpalette(), np.uint8).reshape(-1, 3)
    indices = np.asarray(reduced)
    counts = np.bincount(indices.ravel(), minlength=len(table))
    kept: list[int] = []
    region = np.zeros(len(table), np.uint8)
    for index in np.argsort(-counts, kind="stable"):
        apart = np.linalg.norm(table[kept].astype(float) - table[index], axis=1)
        if not kept or (apart.min() >= distance and counts[index]):
            region[index] = len(kept)
            kept.append(int(index))
        else:
            region[index] = apart.argmin()
    return Regions(region[indices], table[kept])


def random_palette(count: int, rng: np.random.Generator, free: float = 0.3, distance: float = 60.0) -> np.ndarray:
    """Draw colours that can be told apart.

    Args:
        count: How many.
        rng: Decides everything.
        free: Share of colours drawn from all of RGB; the others are near those of inks.
        distance: Colours nearer than this (Euclidean, RGB 0..255) are drawn again, a few times.

    Returns:
        (count, 3) uint8.

    >>> random_palette(5, np.random.default_rng(0)).shape
    (5, 3)
    """
    palette = np.zeros((count, 3))
    for i in range(count):
        for _ in range(TRIES):
            if rng.random() < free:
                palette[i] = rng.uniform(0, 255, 3)
            else:
                palette[i] = np.clip(INKS[rng.integers(len(INKS))] + rng.normal(0, INK_DEVIATION, 3), 0, 255)
            if i == 0 or np.linalg.norm(palette[:i] - palette[i], axis=1).min() >= distance:
                break
    return palette.round().astype(np.uint8)


def paint(regions: Regions, palette: np.ndarray | None = None) -> np.ndarray:
    """The emblem in given colours.

    Args:
        regions: From `separate`.
        palette: (n, 3) uint8, a colour for each region; None is the emblem's own.

    Returns:
        (h, w, 3) uint8.

    Raises:
        UsageError: There are not as many colours as regions.

    >>> regions = separate(Image.new("RGB", (1, 1), (255, 0, 0)))
    >>> paint(regions, np.array([[0, 0, 255]], np.uint8)).tolist()
    [[[0, 0, 255]]]
    """
    colors = regions.palette if palette is None else palette
    if colors.shape != regions.palette.shape:
        raise UsageError(f"expected {len(regions.palette)} colors (n, 3), one per region, found {colors.shape}")
    return np.take(colors, regions.labels, axis=0)
