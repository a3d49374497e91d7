"""Snapshots are written while the run goes on: the loop only copies, a thread serialises, syncs and renames.

    {"train": {"async_snapshots": true}}

One snapshot is on its way at a time. A process that is killed meanwhile leaves the one before whole, and whoever ends a
run waits for the last one.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import torch

from ofakit.files import replace_folder
from ofakit.trainers.state import TakenState, write_state

__all__ = ["SnapshotWriter"]


class SnapshotWriter:
    """Writes snapshots, one after the other.

    Args:
        in_background: Whether to return before a snapshot is on disk.

    Attributes:
        copies: Memory that the tensors of a snapshot are copied into, by name, and that is used again for the next
            one; None where they are written before anything changes them.
        longest: Seconds that the slowest one took to write.
    """

    def __init__(self, in_background: bool) -> None:
        self.copies: dict[str, torch.Tensor] | None = {} if in_background else None
        self.longest = 0.0
        self._thread = ThreadPoolExecutor(1, "snapshot") if in_background else None
        self._on_its_way: Future[None] | None = None

    def write(self, folder: Path, state: TakenState, then: Callable[[Path], None] | None = None) -> None:
        """Write a snapshot; what was on its way must have arrived.

        Args:
            folder: Its final name.
            state: What it holds.
            then: Is called with the folder when it is on disk as a whole.

        Raises:
            SaveError: It cannot be written, where that is not done in the background.
        """
        if self._thread is None:
            self._write(folder, state, then)
        else:
            self._on_its_way = self._thread.submit(self._write, folder, state, then)

    def look(self) -> None:
        """Raise what went wrong with a snapshot that has ended.

        Raises:
            SaveError: It could not be written.
        """
        if self._on_its_way is not None and self._on_its_way.done():
            self.wait()

    def wait(self) -> None:
        """Return when no snapshot is on its way.

        Raises:
            SaveError: It could not be written.
        """
        future, self._on_its_way = self._on_its_way, None
        if future is not None:
            future.result()

    def _write(self, folder: Path, state: TakenState, then: Callable[[Path], None] | None) -> None:
        began = time.perf_counter()
        with replace_folder(folder, keep_strangers=True) as new:
            write_state(new, state)
        if then is not None:
            then(folder)
        self.longest = max(self.longest, time.perf_counter() - began)
