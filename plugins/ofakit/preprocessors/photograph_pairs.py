"""Training pairs of a photograph and the flat reference image that it shows, made from the references alone.

PhotographPairs(size=96, reference_size=72, recolor=0.7, mirror=0.3, composite=Composite(width=(0.4, 1.0)))
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from ofakit.errors import UsageError
from ofakit.preprocessors.composite import Composite
from ofakit.preprocessors.recolor import Regions, paint, random_palette, separate

__all__ = ["Emblem", "PhotographPairs"]

# Height over width at which an emblem is kept; how high it lies in a photograph is the composite's to choose.
SHOWN_ASPECT = 2 / 3


@dataclass(frozen=True)
class Emblem:
    """A reference image made ready for pairs.

    Attributes:
        pixels: (h, w, 3) uint8, twice as large as it is shown, so that painted edges come out soft.
        regions: Its regions of one colour.
    """

    pixels: np.ndarray
    regions: Regions


class PhotographPairs:
    """Reference image and background → a photograph and the reference that it shows, both in the same new colours.

    Args:
        size: Pixels a side of the photograph.
        reference_size: Pixels a side of the reference image, whose own shape is not kept.
        recolor: Share of pairs in new colours.
        mirror: Share of recoloured pairs turned left to right, and of those turned upside down.
        composite: How photographs are made.

    Raises:
        UsageError: A share is not in 0..1.
    """

    def __init__(
        self,
        size: int = 96,
        reference_size: int = 72,
        recolor: float = 0.7,
        mirror: float = 0.3,
        composite: Composite | None = None,
    ) -> None:
        for name, share in (("recolor", recolor), ("mirror", mirror)):
            if not 0 <= share <= 1:
                raise UsageError(f"expected a share from 0 to 1 for {name}, found {share}")
        self.size, self.reference_size = size, reference_size
        self.recolor, self.mirror = recolor, mirror
        self.composite = composite or Composite()

    def prepare(self, reference: Image.Image) -> Emblem:
        """Do once what is the same for every pair of a reference image.

        Args:
            reference: The flat reference image.

        Returns:
            What `__call__` takes; a few dozen kB.
        """
        height, width = self.shown_size
        small = reference.convert("RGB").resize((2 * width, 2 * height), Image.Resampling.BOX)
        return Emblem(np.asarray(small), separate(small))

    def __call__(
        self, emblem: Emblem, background: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray, bool]:
        """One pair.

        Args:
            emblem: The prepared reference image.
            background: (h, w, 3) uint8, at least `size` a side; a random square is cut out and mirrored or not.
            rng: Decides everything.

        Returns:
            The photograph (size, size, 3) uint8, the reference, likewise, and whether both
            have new colours.

        Raises:
            UsageError: The background is smaller than the photograph.
        """
        recolored = bool(rng.random() < self.recolor)
        pixels = self._recolored(emblem.regions, rng) if recolored else emblem.pixels
        behind, side = _cut(background, self.size, rng), self.reference_size
        photograph = self.composite(_resized(pixels, self.shown_size), behind, rng)
        return photograph, _resized(pixels, (side, side)), recolored

    @property
    def shown_size(self) -> tuple[int, int]:
        """(height, width) pixels in which an emblem is laid into the photograph."""
        return round(self.size * SHOWN_ASPECT), self.size

    def _recolored(self, regions: Regions, rng: np.random.Generator) -> np.ndarray:
        pixels = paint(regions, random_palette(len(regions.palette), rng))
        for axis in (0, 1):
            if rng.random() < self.mirror:
                pixels = np.flip(pixels, axis)
        return pixels


def _resized(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """To (height, width), each pixel the mean of what it covers."""
    image = Image.fromarray(np.ascontiguousarray(pixels))
    return np.asarray(image.resize((size[1], size[0]), Image.Resampling.BOX))


def _cut(pixels: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    height, width = pixels.shape[:2]
    if min(height, width) < size:
        raise UsageError(f"cannot crop {size} x {size} pixels from a background of {width} x {height}")
    top, left = int(rng.integers(height - size + 1)), int(rng.integers(width - size + 1))
    square = pixels[top : top + size, left : left + size]
    return square[:, ::-1].copy() if rng.random() < 0.5 else square
