"""Ids on disk as one text and the places where each ends, so that millions of them are not Python objects.

ids.bin        the ids in UTF-8, one after the other
id_ends.npy    (n,) int64: where each ends in ids.bin, in bytes
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from ofakit.errors import UsageError
from ofakit.files import saving

__all__ = ["ENDS", "TEXT", "Ids", "open_ids", "refuse_duplicates", "write_ids"]

TEXT, ENDS = "ids.bin", "id_ends.npy"


def write_ids(folder: Path, ids: Iterable[str]) -> int:
    """Write ids into a folder.

    Args:
        folder: Gets the two files.
        ids: In the order of the vectors.

    Returns:
        How many there are.

    Raises:
        UsageError: One stands there twice; the message names both places.
        SaveError: The disk refused.
    """
    ends, hashes, end = array("q"), array("q"), 0
    with saving(folder / TEXT), open(folder / TEXT, "wb") as file:
        for name in ids:
            if not isinstance(name, str) or not name or "\0" in name:
                raise UsageError(f"expected ids as text that is not empty, found {name!r} as number {len(ends) + 1}")
            end += file.write(name.encode("utf-8", "surrogatepass"))
            ends.append(end)
            hashes.append(hash(name))
    with saving(folder / ENDS):
        np.save(folder / ENDS, np.frombuffer(ends, np.int64))
    _refuse_equal(open_ids(folder), np.frombuffer(hashes, np.int64))
    return len(ends)


def open_ids(folder: Path) -> Ids:
    """Map the ids of a folder into memory.

    Args:
        folder: Has the two files.

    Raises:
        UsageError: One is missing, or they do not belong together.
    """
    try:
        ends = np.load(folder / ENDS, mmap_mode="r") if (folder / ENDS).stat().st_size > 128 else np.empty(0, np.int64)
        size = (folder / TEXT).stat().st_size
        if ends.ndim != 1 or ends.dtype != np.int64 or size != (ends[-1] if len(ends) else 0):
            raise ValueError(f"{ENDS} of {ends.shape} {ends.dtype} beside {size} bytes of {TEXT}")
        text = np.memmap(folder / TEXT, np.uint8, "r") if size else np.empty(0, np.uint8)
    except (OSError, ValueError) as error:
        raise UsageError(f"expected ids in {folder}, found: {error}") from error
    return Ids([(text, ends)])


def refuse_duplicates(ids: Ids) -> None:
    """Refuse ids that stand there twice.

    Args:
        ids: Such as those of several shards.

    Raises:
        UsageError: One does; the message names both places.
    """
    _refuse_equal(ids, np.fromiter((hash(name) for name in ids), np.int64, len(ids)))


def _refuse_equal(ids: Ids, hashes: np.ndarray) -> None:
    """Compare the ids whose hashes are equal."""
    found, counts = np.unique(hashes, return_counts=True)
    first: dict[str, int] = {}
    for position in np.flatnonzero(np.isin(hashes, found[counts > 1])).tolist():
        name = ids[position]
        if name in first:
            raise UsageError(f"items {first[name] + 1} and {position + 1} share the id {name!r}; ids must be unique")
        first[name] = position


class Ids(Sequence[str]):
    """The ids of one or more folders, one after the other.

    Args:
        parts: For each folder its text (uint8) and its ends (int64).

    >>> ids = Ids([(np.frombuffer(b"abbccc", np.uint8), np.array([1, 3, 6]))])
    >>> ids[1], list(ids), ids.take(np.array([[2, -1]])).tolist()
    ('bb', ['a', 'bb', 'ccc'], [['ccc', '']])
    """

    def __init__(self, parts: Sequence[tuple[np.ndarray, np.ndarray]]) -> None:
        self.parts = list(parts)
        self.starts = np.cumsum([0, *(len(ends) for _, ends in self.parts)])

    def __len__(self) -> int:
        return int(self.starts[-1])

    def __getitem__(self, position):
        if isinstance(position, slice):
            return [self[index] for index in range(*position.indices(len(self)))]
        place = position + len(self) if position < 0 else position
        if not 0 <= place < len(self):
            raise IndexError(position)
        number = int(np.searchsorted(self.starts, place, "right")) - 1
        text, ends = self.parts[number]
        row = place - int(self.starts[number])
        return text[int(ends[row - 1]) if row else 0 : int(ends[row])].tobytes().decode("utf-8", "surrogatepass")

    def take(self, positions: np.ndarray) -> np.ndarray:
        """The ids at some positions.

        Args:
            positions: int64 of any shape; -1 for none.

        Returns:
            Text of the same shape; "" for none.
        """
        flat = np.asarray(positions, np.int64).ravel()
        first, last = np.zeros_like(flat), np.zeros_like(flat)
        part_of = np.searchsorted(self.starts, flat, "right") - 1
        width = 0
        for number, (_, ends) in enumerate(self.parts):
            here = np.flatnonzero((part_of == number) & (flat >= 0))
            rows = flat[here] - self.starts[number]
            last[here] = ends[rows]
            first[here] = np.where(rows > 0, ends[rows - 1], 0)
        width = int((last - first).max(initial=1))
        letters = np.zeros((len(flat), width), np.uint8)
        for number, (text, _) in enumerate(self.parts):
            here = np.flatnonzero((part_of == number) & (last > first))
            places = first[here, None] + np.arange(width)
            inside = places < last[here, None]
            letters[here] = np.where(inside, text[np.minimum(places, max(len(text) - 1, 0))], 0)
        return _as_text(letters).reshape(np.shape(positions))


def _as_text(letters: np.ndarray) -> np.ndarray:
    """Rows of UTF-8, filled up with zeros, as text; ASCII, which most ids are, without a loop."""
    if letters.size == 0 or letters.max() < 128:
        return letters.astype(np.uint32).view(f"<U{letters.shape[1]}").ravel()
    return np.array([row.tobytes().rstrip(b"\0").decode("utf-8", "surrogatepass") for row in letters])
