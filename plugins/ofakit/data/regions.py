"""What a picture is cut into: the features of its regions, or of the cells of a grid, and where regions stand.

    regions = Regions.of(features, boxes, width=640, height=480)      # boxes in pixels become fractions

Source of the boxes' form: VL-T5 (https://github.com/j-min/VL-T5), whose data are x1, y1, x2, y2 as fractions of the
picture, clamped to [0, 1].
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Protocol

import numpy as np

from ofakit.errors import UsageError

__all__ = ["RegionSource", "Regions", "key_spellings"]

ROUNDING = 1e-5
"""By how much a fraction may be over 1, as VL-T5 allows."""


@dataclass(frozen=True)
class Regions:
    """The regions of one picture.

    Attributes:
        features: (N, f) float32.
        boxes: (N, 4) float32, x1, y1, x2, y2 as fractions of the picture; None for a grid, or where they are not known.

    >>> Regions.of(np.ones((2, 3)), np.array([[0, 0, 320, 240], [0, 0, 900, 480]]), 640, 480).boxes.tolist()
    [[0.0, 0.0, 0.5, 0.5], [0.0, 0.0, 1.0, 1.0]]
    """

    features: np.ndarray
    boxes: np.ndarray | None = None

    def __len__(self) -> int:
        """How many there are."""
        return len(self.features)

    @classmethod
    def of(
        cls,
        features: np.ndarray,
        boxes: np.ndarray | None = None,
        width: float | None = None,
        height: float | None = None,
        where: str = "the regions of an image",
    ) -> Regions:
        """Regions from arrays as others write them.

        Args:
            features: (N, f), or a grid (rows, columns, f), which is read row by row.
            boxes: (N, 4), x1, y1, x2, y2; in pixels where the size of the picture is given, else as fractions.
            width: Of the picture, in pixels.
            height: Likewise.
            where: What is read, for messages.

        Raises:
            UsageError: The arrays are of another form or hold what is no number, or boxes in pixels have no size.
        """
        rows = np.asarray(features)
        rows = rows.reshape(-1, rows.shape[-1]) if rows.ndim == 3 else rows
        if rows.ndim != 2 or not len(rows) or rows.dtype.kind != "f":
            raise UsageError(
                f"expected features (N, f) of floating-point numbers in {where}, at least one region, found "
                f"{np.asarray(features).dtype} {np.asarray(features).shape}"
            )
        rows = rows.astype(np.float32)
        if not np.isfinite(rows).all():
            raise UsageError(f"expected finite features in {where}, found NaN or infinity; compute them again")
        return cls(rows, None if boxes is None else _fractions(np.asarray(boxes), len(rows), width, height, where))

    def first(self, count: int | None) -> Regions:
        """The first regions, which detectors write with the surest in front.

        Args:
            count: How many at most; None for all.
        """
        return Regions(self.features[:count], None if self.boxes is None else self.boxes[:count])

    def placed(self) -> np.ndarray:
        """(N, 4) float32: the boxes, or zeros where there are none."""
        return np.zeros((len(self), 4), np.float32) if self.boxes is None else self.boxes


class RegionSource(Protocol):
    """Where the regions of pictures are found."""

    @property
    def width(self) -> int:
        """Numbers of a region's features."""
        ...

    def __len__(self) -> int:
        """How many pictures it has."""
        ...

    def __contains__(self, key: object) -> bool:
        """Whether it has a picture.

        Args:
            key: As for `regions`.
        """
        ...

    def regions(self, key: str) -> Regions:
        """The regions of a picture.

        Args:
            key: Its path, name or id, as `key_spellings` tries them; or what `Example.image_key` says of one in memory.

        Raises:
            UsageError: It has none of that picture, or they are damaged.
        """
        ...


def key_spellings(key: str) -> list[str]:
    """The names under which the regions of an image may be kept: its path, tails of it, the same without its suffix,
    and its number.

    Args:
        key: A path, a name or an id.

    Returns:
        In the order in which they are tried.

    >>> key_spellings("val2014/COCO_val2014_000000000042.jpg")[1:]
    ['COCO_val2014_000000000042.jpg', 'val2014/COCO_val2014_000000000042', 'COCO_val2014_000000000042', '42']
    """
    path = PurePosixPath(key.replace("\\", "/"))
    bare = path.with_suffix("") if path.name else path
    tails = [str(PurePosixPath(*own.parts[start:])) for own in (path, bare) for start in range(len(own.parts))]
    number = bare.name[len(bare.name.rstrip("0123456789")) :].lstrip("0")
    return list(dict.fromkeys(name for name in (key, *tails, number) if name))


def _fractions(boxes: np.ndarray, count: int, width: float | None, height: float | None, where: str) -> np.ndarray:
    """Boxes as fractions of the picture, clamped to [0, 1]."""
    if boxes.shape != (count, 4) or boxes.dtype.kind not in "fiu":
        raise UsageError(f"expected boxes ({count}, 4) in {where}, one per region, found {boxes.dtype} {boxes.shape}")
    boxes = boxes.astype(np.float64)
    if width is not None and height is not None:
        if not (width > 0 and height > 0):
            raise UsageError(f"expected an image of at least one pixel in {where}, found {width} x {height}")
        boxes = boxes / [width, height, width, height]
    elif boxes.size and not boxes.max() <= 1 + ROUNDING:
        raise UsageError(
            f"expected boxes as fractions of the image in {where}, found up to {boxes.max():g}; boxes in pixels need "
            "img_w and img_h"
        )
    if not np.isfinite(boxes).all():
        raise UsageError(f"expected finite boxes in {where}, found NaN or infinity")
    return boxes.clip(0, 1).astype(np.float32)
