"""Features of images from a frozen network, on disk as memory-mapped rows, so that they are computed only once.

    store = FeatureStore("work_dir/features", "lite0-5d1f…", width=1280)
    rows = store.rows(digests, compute)        # (n, 1280) float32; only what is not there yet is computed

Rows may be kept in half precision, which halves them and rounds them to 11 bits; a number that is beyond its range
(65,504) is refused.

`<folder>/<name>.bin` is a list of records: the digest of an image, a CRC-32 and the row. Records are only ever added,
under a lock, so that several processes may share a store; one that a killed process left unfinished is cut off by the
next that adds, and one that was damaged counts as absent.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ofakit.errors import UsageError
from ofakit.files import saving
from ofakit.platforms import lock

__all__ = ["DIGEST_BYTES", "FeatureStore"]

DIGEST_BYTES = 16


class FeatureStore:
    """Rows of one width by digest.

    Args:
        folder: Where it is; made if it is not there.
        name: Tells what made the rows: features of another network are under another name.
        width: Numbers of a row.
        dtype: What they are kept in, "float32" or "float16".

    Raises:
        UsageError: The folder cannot be written.
    """

    def __init__(
        self, folder: str | Path, name: str, width: int, dtype: Literal["float32", "float16"] = "float32"
    ) -> None:
        self.name, self.path = name, Path(folder).expanduser() / f"{name}.bin"
        row = {"float32": "<f4", "float16": "<f2"}[dtype]
        self.record = np.dtype([("digest", f"V{DIGEST_BYTES}"), ("crc", "<u4"), ("row", row, (width,))])
        self._records = np.zeros(0, self.record)
        self._place: dict[bytes, int] = {}
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with open(self.path, "ab"):
                pass
        except OSError as error:
            raise UsageError(f"cannot store features in {folder}: {error}. Choose a folder that is writable") from None
        self._read_new()

    def __len__(self) -> int:
        """How many rows there are."""
        return len(self._place)

    def __deepcopy__(self, memo: dict[int, Any]) -> FeatureStore:
        """The store itself: a copy of a model uses the same one."""
        return self

    def rows(self, digests: Sequence[bytes], compute: Callable[[list[int]], np.ndarray]) -> np.ndarray:
        """The rows of some images.

        Args:
            digests: `DIGEST_BYTES` bytes of each.
            compute: Given the places of those that are not there yet, each image once, makes their rows.

        Returns:
            (n, width) float32, in the order of the digests.

        Raises:
            SaveError: The disk is full.
            UsageError: A number is beyond the range of half precision.
        """
        if any(digest not in self._place for digest in digests):
            self._read_new()
        absent: dict[bytes, int] = {}
        for place, digest in enumerate(digests):
            if digest not in self._place:
                absent.setdefault(digest, place)
        if absent:
            self._add(list(absent), compute(list(absent.values())))
        rows = self._records["row"][[self._place[digest] for digest in digests]]
        return rows.astype(np.float32, copy=False)

    def _add(self, digests: Sequence[bytes], rows: np.ndarray) -> None:
        """Append records after the last whole one."""
        new = np.zeros(len(digests), self.record)
        new["digest"] = np.frombuffer(b"".join(digests), new["digest"].dtype)
        with np.errstate(over="ignore"):
            new["row"] = rows
        if not np.isfinite(new["row"]).all() and np.isfinite(rows).all():
            raise UsageError("features exceed the range of float16; set feature_dtype to float32", "feature_dtype")
        new["crc"] = [zlib.crc32(row.tobytes()) for row in new["row"]]
        with saving(self.path), open(self.path, "r+b") as file:
            lock(file.fileno())
            size = os.fstat(file.fileno()).st_size
            whole = size // self.record.itemsize * self.record.itemsize
            if whole < size:
                file.truncate(whole)
            file.seek(whole)
            file.write(new.tobytes())
        self._read_new()

    def _read_new(self) -> None:
        """Map what was added since, and note where each intact row is."""
        known, count = len(self._records), self.path.stat().st_size // self.record.itemsize
        if count == known:
            return
        self._records = np.memmap(self.path, self.record, "r", shape=(count,))
        for place, record in enumerate(self._records[known:], start=known):
            if zlib.crc32(record["row"].tobytes()) == record["crc"]:
                self._place[record["digest"].tobytes()] = place
