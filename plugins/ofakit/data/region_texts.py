"""What is said about parts of an image, and which of the regions that a model reads such a part is.

    {"image": "dog.jpg", "width": 640, "height": 480, "regions": [{"text": "a red ball", "box": [40, 60, 120, 140]}]}

A box is x1, y1, x2, y2: in pixels where the size of the image stands beside the list, else as fractions of it. A text
of a detector may name its region by place: {"text": "red ball", "region": 3}. As Visual Genome has them, `phrase` is
the text, and `x`, `y`, `width` and `height` are the box.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ofakit.errors import UsageError

__all__ = ["RegionText", "place_of", "region_texts_in"]

SIDES = ("x", "y", "width", "height")


@dataclass(frozen=True)
class RegionText:
    """A text about a part of an image.

    Attributes:
        text: What it says.
        box: x1, y1, x2, y2 of the part, as fractions of the image; None where `region` says which it is.
        region: Its place among the regions that a model reads, from 0; None where `box` says where it is.
    """

    text: str
    box: tuple[float, float, float, float] | None = None
    region: int | None = None


def region_texts_in(cell: Any, where: str, width: Any = None, height: Any = None) -> tuple[RegionText, ...]:
    """The texts about parts of an image in a cell; those that say nothing are left out.

    Args:
        cell: A list of objects, or None for none.
        where: The file and column, for messages.
        width: Of the image in pixels, where boxes are in pixels.
        height: Likewise.

    Raises:
        UsageError: The cell holds something else, or a box is none or leaves the image.

    >>> region_texts_in([{"phrase": "a ball", "x": 0, "y": 10, "width": 50, "height": 10}], "a file", 100, 20)
    (RegionText(text='a ball', box=(0.0, 0.5, 0.5, 1.0), region=None),)
    """
    if cell is None:
        return ()
    if not isinstance(cell, list) or not all(isinstance(entry, Mapping) for entry in cell):
        raise UsageError(f"expected a list of objects with text and box in {where}, found {cell!r:.80}")
    found = (_said(entry, where, (width, height)) for entry in cell)
    return tuple(said for said in found if said.text)


def _said(entry: Mapping[str, Any], where: str, size: tuple[Any, Any]) -> RegionText:
    text, region = entry.get("text", entry.get("phrase")), entry.get("region")
    if not isinstance(text, str):
        raise UsageError(f"expected a text about a region in {where}, found {dict(entry)!r:.80}")
    if region is not None:
        if type(region) is not int or region < 0:
            raise UsageError(f"expected the place of a region from 0 in {where}, found {region!r}")
        return RegionText(text.strip(), region=region)
    box = entry.get("box")
    if box is None and all(side in entry for side in SIDES):
        x, y, w, h = (entry[side] for side in SIDES)
        box = [x, y, x + w, y + h] if all(_is_number(side) for side in (x, y, w, h)) else None
    return RegionText(text.strip(), box=_fractions(box, where, size))


def _fractions(box: Any, where: str, size: tuple[Any, Any]) -> tuple[float, float, float, float]:
    """A box as fractions of its image; what is a pixel over the edge is cut off."""
    if not isinstance(box, list) or len(box) != 4 or not all(_is_number(number) for number in box):
        raise UsageError(f"expected a box of four numbers x1, y1, x2, y2 in {where}, found {box!r:.80}")
    if size != (None, None) and not all(_is_number(side) and side > 0 for side in size):
        raise UsageError(f"expected width and height of the image in {where}, found {size[0]!r} and {size[1]!r}")
    w, h = (1.0, 1.0) if size == (None, None) else size
    x1, y1, x2, y2 = box[0] / w, box[1] / h, box[2] / w, box[3] / h
    over = 0.01 if w == h == 1 else max(1 / w, 1 / h) * 1.5
    if not (x1 < x2 and y1 < y2) or min(x1, y1) < -over or max(x2, y2) > 1 + over:
        raise UsageError(
            f"expected a box x1 < x2, y1 < y2 inside the image in {where}, found {box!r:.80}; give width and height of "
            "the image beside boxes in pixels"
        )
    return max(x1, 0.0), max(y1, 0.0), min(x2, 1.0), min(y2, 1.0)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def place_of(said: RegionText, boxes: np.ndarray, least: float = 0.5) -> int | None:
    """Which region a text is about.

    Args:
        said: The text with its box or its place.
        boxes: (N, 4) those of the regions as fractions; zeros for a grid, read row by row, whose cell is the one that
            the middle of the box lies in.
        least: How much of the union of both boxes they must share at least.

    Returns:
        Its place among the N; None where no region fits.

    Raises:
        UsageError: There are no boxes, and N is no square number.

    >>> boxes = np.array([[0, 0, 0.5, 0.5], [0.5, 0, 1, 0.5]])
    >>> place_of(RegionText("a ball", (0.5, 0, 0.9, 0.5)), boxes), place_of(RegionText("sky", (0, 0, 1, 0.5)), boxes)
    (1, 0)
    >>> place_of(RegionText("a ball", (0.5, 0, 0.9, 0.5)), np.zeros((9, 4)))
    2
    """
    if said.region is not None or said.box is None:
        return said.region if said.region is not None and said.region < len(boxes) else None
    x1, y1, x2, y2 = said.box
    if not boxes.any():
        side = math.isqrt(len(boxes))
        if side * side != len(boxes):
            raise UsageError(f"{len(boxes)} regions without boxes are no square grid, so a box cannot be found in them")
        row, column = (min(int((low + high) / 2 * side), side - 1) for low, high in ((y1, y2), (x1, x2)))
        return row * side + column
    low, high = np.maximum(boxes[:, :2], (x1, y1)), np.minimum(boxes[:, 2:], (x2, y2))
    shared = np.prod(np.clip(high - low, 0, None), axis=1)
    united = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1) + (x2 - x1) * (y2 - y1) - shared
    overlap = shared / np.maximum(united, 1e-12)
    best = int(overlap.argmax())
    return best if overlap[best] >= least else None
