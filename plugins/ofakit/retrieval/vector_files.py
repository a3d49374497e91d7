"""Vectors on disk in NumPy's format: preallocated, written in pieces at their place, read through a memory map.

    with VectorFile.create(folder / "vectors.npy", count, dimension, "float16") as file:
        file.write(0, first_rows)
        file.sync()

Pieces may come in any order and from several processes of one machine. They are written to their place, not
through a memory map, so that what has been written does not count as memory of the process.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ofakit.errors import UsageError
from ofakit.files import saving
from ofakit.platforms import BINARY, reserve, write_at

__all__ = ["DTYPES", "VectorFile", "Vectors", "open_vectors"]

DTYPES = ("float32", "float16")
BLOCK_BYTES = 16 * 2**20


class VectorFile:
    """A file of vectors while it is written.

    Args:
        path: The file, from `create`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        shape, self.dtype, self._start = _header(path)
        self.count, self.dimension = shape
        self._file = os.open(path, os.O_RDWR | BINARY)

    @classmethod
    def create(cls, path: Path, count: int, dimension: int, dtype: str) -> VectorFile:
        """Reserve the room for all vectors; a file that is there is replaced.

        Args:
            path: The file.
            count: How many vectors it will hold.
            dimension: Of each.
            dtype: "float32" or "float16", in the byte order of x86 and ARM.

        Raises:
            SaveError: The disk has no room for them.
        """
        kind = np.dtype(dtype).newbyteorder("<")
        header = {"descr": kind.str, "fortran_order": False, "shape": (count, dimension)}
        with saving(path), open(path, "wb") as file:
            np.lib.format.write_array_header_1_0(file, header)
            file.flush()
            if count:
                reserve(file.fileno(), file.tell() + count * dimension * kind.itemsize)
        return cls(path)

    def write(self, start: int, rows: np.ndarray) -> None:
        """Put vectors at their place.

        Args:
            start: Position of the first.
            rows: (n, d) of any floating type; rounded to the file's.

        Raises:
            UsageError: They are of another dimension, or do not fit behind `start`.
        """
        if rows.ndim != 2 or rows.shape[1] != self.dimension or not 0 <= start <= self.count - len(rows):
            raise UsageError(
                f"expected vectors of {self.dimension} dimensions that fit into rows {start} to {self.count} of "
                f"{self.path}, found an array of shape {rows.shape}"
            )
        data = np.ascontiguousarray(rows, self.dtype).data.cast("B")
        offset = self._start + start * self.dimension * self.dtype.itemsize
        with saving(self.path):
            write_at(self._file, data, offset)

    def sync(self) -> None:
        """Return when what was written is on disk."""
        with saving(self.path):
            os.fsync(self._file)

    def __enter__(self) -> VectorFile:
        return self

    def __exit__(self, *_: Any) -> None:
        os.close(self._file)


def _header(path: Path) -> tuple[tuple[int, int], np.dtype, int]:
    """Shape, type and the place of the first vector."""
    with open(path, "rb") as file:
        version = np.lib.format.read_magic(file)
        if version != (1, 0):
            raise ValueError(f"format version {version}")
        shape, by_column, dtype = np.lib.format.read_array_header_1_0(file)
        if len(shape) != 2 or by_column or dtype.name not in DTYPES:
            raise ValueError(f"shape {shape}, type {dtype}")
        return shape, dtype, file.tell()


def open_vectors(path: Path) -> np.memmap:
    """Map a file of vectors into memory, to be read.

    Args:
        path: The file.

    Returns:
        (n, d) float32 or float16, read-only.

    Raises:
        UsageError: It is missing, cut off, or holds something else.
    """
    try:
        shape, dtype, start = _header(path)
        expected, found = start + shape[0] * shape[1] * dtype.itemsize, path.stat().st_size
        if found != expected:
            raise ValueError(f"{found} bytes, although its header announces {expected}")
        if not shape[0]:
            return np.empty(shape, dtype)  # type: ignore[return-value]
        return np.memmap(path, dtype, "r", start, shape)
    except (OSError, ValueError) as error:
        raise UsageError(f"expected an array of float32 or float16 vectors in {path}, found: {error}") from error


class Vectors:
    """Vectors of one or more files, one after the other, as one sequence.

    Args:
        parts: Arrays (n, d), at least one, of one dimension and type.

    >>> vectors = Vectors([np.zeros((2, 3), np.float32), np.ones((1, 3), np.float32)])
    >>> len(vectors), vectors.dimension, vectors.rows(np.array([2, 0]))[:, 0].tolist()
    (3, 3, [1.0, 0.0])
    """

    def __init__(self, parts: Sequence[np.ndarray]) -> None:
        self.parts = list(parts)
        self.starts = np.cumsum([0, *(len(part) for part in self.parts)])

    def __len__(self) -> int:
        return int(self.starts[-1])

    def __getitem__(self, rows: slice) -> np.ndarray:
        """The vectors of a slice, (m, d), in the type in which they are kept."""
        first, last, step = rows.indices(len(self))
        inside = [part[max(0, first - start) : max(0, last - start)] for start, part in self._placed()]
        return np.concatenate(inside)[::step] if step > 0 else self[:][rows]

    @property
    def dimension(self) -> int:
        """Of each vector."""
        return self.parts[0].shape[1]

    @property
    def dtype(self) -> np.dtype:
        """In which they are kept."""
        return self.parts[0].dtype

    def blocks(self, rows: int | None = None) -> Iterator[tuple[int, np.ndarray]]:
        """All vectors in pieces, each with the position of its first.

        Args:
            rows: The most that a piece holds; None for as many as make 16 MiB of float32.
        """
        size = rows or max(1, BLOCK_BYTES // (4 * self.dimension))
        for start, part in self._placed():
            for first in range(0, len(part), size):
                yield start + first, part[first : first + size]

    def rows(self, positions: np.ndarray) -> np.ndarray:
        """The vectors at some positions.

        Args:
            positions: (m,) int64.

        Returns:
            (m, d) float32.
        """
        positions = np.asarray(positions)
        taken = np.empty((len(positions), self.dimension), np.float32)
        for start, part in self._placed():
            here = np.flatnonzero((positions >= start) & (positions < start + len(part)))
            taken[here] = part[positions[here] - start]
        return taken

    def _placed(self) -> Iterator[tuple[int, np.ndarray]]:
        """The parts, each with the position of its first vector."""
        return zip(self.starts[:-1].tolist(), self.parts, strict=True)
