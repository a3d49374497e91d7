"""Slices of a split in the notation of Hugging Face datasets.

    train              all of it
    train[-50000:]     the last 50,000 rows
    train[:10%]        the first tenth; a boundary is rounded to the nearest row
    train+val[:500]    one after the other

Slices count the rows of the split's file. A row of FlickrStyle is an image with all its styles, so a slice never puts
one image on both sides of a cut.

Source of the notation: https://huggingface.co/docs/datasets/loading#slice-splits
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from ofakit.errors import UsageError, did_you_mean

__all__ = ["SplitPart", "parse_split"]

Row = TypeVar("Row")
PART = re.compile(r"\s*(?P<name>[\w.-]+)\s*(?:\[\s*(?P<start>-?\d+%?)?\s*:\s*(?P<stop>-?\d+%?)?\s*\])?\s*")


@dataclass(frozen=True)
class SplitPart:
    """A piece of a split: the split's name and where it is cut.

    Attributes:
        name: The split.
        start: First row, such as "100", "-50000" or "10%"; None is the beginning.
        stop: Row after the last, in the same notation; None is the end.
    """

    name: str
    start: str | None = None
    stop: str | None = None

    def __str__(self) -> str:
        """The notation that this piece was written in."""
        whole = self.start is None and self.stop is None
        return self.name if whole else f"{self.name}[{self.start or ''}:{self.stop or ''}]"

    def take(self, rows: Sequence[Row]) -> list[Row]:
        """Cut this piece out of all rows of its split.

        Args:
            rows: Every row of the split.

        Returns:
            The rows of the piece. Boundaries outside the split are moved to its ends.

        >>> SplitPart("train", "-3").take(range(10))
        [7, 8, 9]
        >>> SplitPart("train", stop="25%").take(range(10))
        [0, 1]
        """
        return list(rows[slice(_row(self.start, len(rows)), _row(self.stop, len(rows)))])


def parse_split(split: str, available: Iterable[str]) -> list[SplitPart]:
    """Read a split such as `train[-50000:]` or `train[:10%]+val`.

    Args:
        split: What to read.
        available: The splits there are.

    Returns:
        The pieces in the order written.

    Raises:
        UsageError: The notation is wrong, or a split is not available.

    >>> parse_split("train[:10%]+val", ["train", "val"])
    [SplitPart(name='train', start=None, stop='10%'), SplitPart(name='val', start=None, stop=None)]
    """
    available = list(available)
    parts = []
    for text in split.split("+"):
        match = PART.fullmatch(text)
        if match is None:
            raise UsageError(
                f"cannot read the split {split!r}: expected a name, or a slice such as train[-50000:], train[:10%] or "
                f"train+val, found {text.strip()!r}"
            )
        part = SplitPart(**match.groupdict())
        if part.name not in available:
            raise UsageError(f"unknown split {part.name!r} in {split!r}: {did_you_mean(part.name, available)}")
        parts.append(part)
    return parts


def _row(boundary: str | None, rows: int) -> int | None:
    if boundary is None:
        return None
    if not boundary.endswith("%"):
        return int(boundary)
    percent = int(boundary[:-1])
    if abs(percent) > 100:
        raise UsageError(f"a slice ranges from -100% to 100%, found {boundary}")
    return round(rows * percent / 100)
