"""Writes snapshots while the run continues: a thread copies, serialises, syncs and renames.

    {"train": {"async_snapshots": true}}

Weights and moments are copied while the next step runs forward and backward, which changes neither; the update waits
for the copy (`let_change`). Only one snapshot is written at a time. A process that is killed meanwhile leaves the
previous snapshot complete, and the end of a run waits for the last one.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import torch

from ofakit.files import replace_folder
from ofakit.trainers.state import TakenState, all_finite, write_state

__all__ = ["SnapshotWriter"]


class SnapshotWriter:
    """Writes snapshots, one after the other.

    Args:
        in_background: Whether to return before a snapshot is on disk.
        say: Called with a message if a snapshot in the background is not written because a value is not finite.

    Attributes:
        copies: Memory that the tensors of a snapshot are copied into, by name, reused for the next snapshot; None if
            they are written before anything changes them.
        longest: Seconds that the slowest snapshot took to write.
        waited: Seconds that updates have waited for copies.
    """

    def __init__(self, in_background: bool, say: Callable[[str], None] = lambda _: None) -> None:
        self.copies: dict[str, torch.Tensor] | None = {} if in_background else None
        self.longest = self.waited = 0.0
        self._say = say
        self._may_change = threading.Event()
        self._may_change.set()
        self._thread = ThreadPoolExecutor(1, "snapshot") if in_background else None
        self._on_its_way: Future[None] | None = None

    def write(self, folder: Path, state: TakenState, then: Callable[[Path], None] | None = None) -> None:
        """Write a snapshot; the previous one must be complete.

        Args:
            folder: Its final name.
            state: Its contents; tensors that are not copied yet are copied in the background.
            then: Called with the folder when the whole snapshot is on disk.

        Raises:
            SaveError: It cannot be written; not raised when writing in the background.
        """
        if self._thread is None:
            self._write(folder, state, then)
        else:
            self._may_change.clear()
            self._on_its_way = self._thread.submit(self._copy_and_write, folder, state, then)

    def let_change(self) -> None:
        """Return when the snapshot being written no longer needs weights and moments to stay unchanged."""
        if not self._may_change.is_set():
            began = time.perf_counter()
            self._may_change.wait()
            self.waited += time.perf_counter() - began

    def look(self) -> None:
        """Raise the error of a snapshot that has finished.

        Raises:
            SaveError: It could not be written.
        """
        if self._on_its_way is not None and self._on_its_way.done():
            self.wait()

    def wait(self) -> None:
        """Return when no snapshot is being written.

        Raises:
            SaveError: It could not be written.
        """
        future, self._on_its_way = self._on_its_way, None
        if future is not None:
            future.result()

    def _copy_and_write(self, folder: Path, state: TakenState, then: Callable[[Path], None] | None) -> None:
        try:
            state = state.copied(self.copies if self.copies is not None else {})
        finally:
            self._may_change.set()
        if all_finite([*state.weights.values(), *state.tensors.values()]):
            self._write(folder, state, then)
        else:
            self._say("a weight or an optimizer moment is not finite")

    def _write(self, folder: Path, state: TakenState, then: Callable[[Path], None] | None) -> None:
        began = time.perf_counter()
        with replace_folder(folder, keep_strangers=True) as new:
            write_state(new, state)
        if then is not None:
            then(folder)
        self.longest = max(self.longest, time.perf_counter() - began)
