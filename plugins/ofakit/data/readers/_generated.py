"""Folders of generated data: named by their settings, and written whole or not at all by whichever process is first."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ofakit.files import saving
from ofakit.locks import only_one

__all__ = ["Generated", "digest_of", "generate_once"]


class Generated:
    """A reader that first makes what it reads; named before the class of the reader among a class's bases.

    Attributes:
        folder: What it generates, named by its settings.
    """

    generates = True
    folder: Path

    def generate(self) -> Path:
        """Generate the data, unless they are already there.

        Returns:
            The folder.

        Raises:
            SaveError: The disk is full or permission is missing; nothing is left behind.
        """
        return generate_once(self.folder, self._write)

    def rows(self, split: str) -> list[Any]:
        """Every row of a split, generated first if need be.

        Args:
            split: The split.
        """
        self.generate()
        return super().rows(split)  # type: ignore[misc]

    def _write(self, folder: Path) -> None:
        """Fill the empty folder that it is given."""
        raise NotImplementedError


def digest_of(settings: Mapping[str, Any]) -> str:
    """A name for what settings generate; another one for any other settings.

    Args:
        settings: Fit for JSON, in a fixed order.

    >>> digest_of({"seed": 7})
    '532e83731439'
    """
    return hashlib.blake2b(json.dumps(settings).encode(), digest_size=6).hexdigest()


def generate_once(folder: Path, write: Callable[[Path], None]) -> Path:
    """Generate a folder, unless it is already there.

    The folder gets its name when it is complete; of several processes one generates, and the others wait for it. What a
    killed one has left is removed.

    Args:
        folder: The folder's name; the one above it is created where it is missing.
        write: Fills the empty folder that it is given.

    Returns:
        `folder`.

    Raises:
        SaveError: The disk is full or permission is missing; nothing is left behind.
    """
    if folder.is_dir():
        return folder
    with saving(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock = f".{folder.name}.lock"
        with only_one(folder.parent, "process that generates data", "wait for it", wait=True, nested=True, file=lock):
            if not folder.is_dir():
                for left in folder.parent.glob(f"{_beside(folder)}*"):
                    shutil.rmtree(left, ignore_errors=True)
                _generate(folder, write)
    return folder


def _beside(folder: Path) -> str:
    """How the name of a folder begins that is not complete."""
    return f".{folder.name}.new."


def _generate(folder: Path, write: Callable[[Path], None]) -> None:
    """Fill a folder beside the final name; where disks know no locks, another process may have been faster."""
    beside = Path(tempfile.mkdtemp(dir=folder.parent, prefix=_beside(folder)))
    try:
        write(beside)
        os.chmod(beside, 0o755)
        os.rename(beside, folder)
    except OSError:
        if not folder.is_dir():
            raise
    finally:
        shutil.rmtree(beside, ignore_errors=True)
