"""Arrays and lists of strings in one NumPy file without pickle, written whole or not at all."""

from __future__ import annotations

import io
import os
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.npyio import NpzFile

from ofakit.errors import UsageError
from ofakit.files import saving

__all__ = ["load_arrays", "pack_strings", "save_arrays", "unpack_strings"]


def pack_strings(strings: Iterable[str]) -> np.ndarray:
    """Pack strings without line feeds into one array of bytes.

    Args:
        strings: Without line feeds. A single empty string is not told from no string at all.

    >>> unpack_strings(pack_strings(["a", "dög"]))
    ['a', 'dög']
    """
    return np.frombuffer("\n".join(strings).encode("utf-8", "surrogatepass"), np.uint8)


def unpack_strings(packed: np.ndarray) -> list[str]:
    """The strings that `pack_strings` packed."""
    text = packed.tobytes().decode("utf-8", "surrogatepass")
    return text.split("\n") if text else []


def save_arrays(path: str | Path, kind: str, compressed: bool = True, **arrays: Any) -> None:
    """Write arrays to `path`, first under a temporary name beside it.

    Args:
        path: The file; its folder must exist.
        kind: What the file is and the version of its layout; `load_arrays` expects the same.
        compressed: Whether to compress; a file that is not is written and read many times as fast.
        **arrays: Arrays, numbers or strings.

    Raises:
        SaveError: The disk is full or permission is missing; an old file is intact.
    """
    path = Path(path)
    unfinished = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        with saving(path), open(unfinished, "wb") as file:
            (np.savez_compressed if compressed else np.savez)(file, kind=kind, **arrays)
            file.flush()
            os.fsync(file.fileno())
            os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def load_arrays(path: str | Path, kind: str, names: Collection[str], cure: str) -> dict[str, np.ndarray]:
    """Read what `save_arrays` wrote.

    Args:
        path: The file.
        kind: As it was saved.
        names: The arrays that must be there.
        cure: How to make such a file, for the message.

    Raises:
        UsageError: There is no such file, it cannot be read, is of another kind, or lacks an array.
    """
    try:
        stored = np.load(io.BytesIO(Path(path).read_bytes()), allow_pickle=False)
        if not isinstance(stored, NpzFile):
            raise ValueError("a single array")
        with stored:
            arrays = dict(stored)
    except Exception as error:  # a damaged file can raise nearly anything inside zipfile, zlib and NumPy
        raise UsageError(f"{path}: expected a file of kind {kind!r}, found: {error}; {cure}") from error
    found = str(arrays.pop("kind", "unknown"))
    if found != kind:
        raise UsageError(f"{path}: expected a file of kind {kind!r}, found kind {found!r}; {cure}")
    missing = sorted(set(names) - set(arrays))
    if missing:
        raise UsageError(f"{path}: expected the arrays {', '.join(names)}, found no {', '.join(missing)}; {cure}")
    return arrays
