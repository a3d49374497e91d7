"""Snapshots of a running trainer: what they contain besides the weights, when none is written, and resuming."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ofakit.errors import OfakitError
from ofakit.files import SaveError
from ofakit.hub import ModelBundle
from ofakit.trainers.hooked_trainer import HookedTrainer
from ofakit.trainers.resume_check import fixed_values, refuse_changes
from ofakit.trainers.sharding import Sharding
from ofakit.trainers.snapshot_writer import SnapshotWriter
from ofakit.trainers.state import (
    all_finite,
    hand_in,
    load_weights,
    random_state,
    read_state,
    restore_optimizer,
    restore_random_state,
    snapshot_folder,
    take_state,
)
from ofakit.trainers.update import LossNotFinite, Updater
from ofakit.trainers.weight_average import WeightAverage

__all__ = ["ResumableTrainer"]


class ResumableTrainer(HookedTrainer):
    """A trainer whose run can be interrupted at any step and continued.

    Attributes:
        bundle: The model with tokenizer and settings.
        updater: Changes the weights.
        writer: Writes the snapshots.
        average: The moving average of the weights; None: no average.
        sharding: Divides the weights among the processes; None: every process has all weights.
    """

    bundle: ModelBundle
    updater: Updater
    writer: SnapshotWriter
    average: WeightAverage | None = None
    sharding: Sharding | None = None
    _fixed: dict[str, Any] | None = None
    _sound: tuple[dict[str, Any], dict[str, Any], int] | None = None

    def save_snapshot(self, epoch_is_over: bool, then: Callable[[Path], None] | None = None) -> Path | None:
        """Write everything a resumed run needs, unless the state of the model cannot be continued from.

        Args:
            epoch_is_over: Whether this is the end of the epoch's loop.
            then: Called with the folder, in the first process, when the whole snapshot is on disk.

        Returns:
            The folder of the snapshot, which exists once `finish_snapshots` has returned. None if no snapshot is
            written because the last step was skipped, or the model or the optimizer has a value that is not finite. A
            snapshot in the background detects this later: the log says so, and the previous snapshot remains the last.
        """
        return self._save(self.counters(epoch_is_over), random_state(), then)

    def _save(
        self, counters: Mapping[str, Any], chance: Mapping[str, Any], then: Callable[[Path], None] | None = None
    ) -> Path | None:
        """Write a snapshot of the current weights, with these counters and random states."""
        if not self._is_fit():
            return None
        began = time.perf_counter()
        folder = snapshot_folder(Path(self.work_dir), counters["iter"])
        rest = {
            **counters,
            "sampler": self.loading.sampler.state_dict(self._epoch, 0),
            "fixed": self._fixed_values(),
            "scheduler": self.lr_scheduler.state_dict(),
            "scaler": self.updater.scaler.state_dict(),
            "average": {} if self.average is None else self.average.state_dict(),
            "bad_steps": [self.updater.bad_steps, self.updater.bad_steps_in_a_row],
            "batches": {
                "batch_size": self.experiment.train.dataloader.batch_size_per_gpu,
                "accumulation": self.experiment.train.gradient_accumulation,
                "halvings": self.updater.halvings,
            },
            "random": self.processes.gather(chance),
        }
        if self.processes.is_main:
            self.writer.wait()
            state = take_state(self.model, self.optimizer, rest, self.writer.copies, later=self.sharding is None)
            self.writer.write(folder, state, then)
        elif self.sharding is not None:
            hand_in(self.model, self.optimizer, rest)
        if self.writer.copies is None:
            self.processes.wait()
        self.saved_step = counters["iter"]
        self.longest_save = max(self.longest_save, time.perf_counter() - began, self.writer.longest)
        return folder

    def finish_snapshots(self) -> None:
        """Return when the last snapshot is on disk; every process must call this.

        Raises:
            SaveError: It could not be written.
        """
        self.writer.wait()
        self.processes.wait()

    # After a failure

    def _note_progress(self, uncounted: int = 0) -> None:
        """Record the position of the run at every point from which it could continue.

        Args:
            uncounted: Steps that were made but are not counted yet.
        """
        self._sound = (self.counters(False, uncounted), random_state(), self.updater.changes)

    @contextmanager
    def _kept_at_failure(self) -> Iterator[None]:
        """Write a snapshot if the block fails, and let the error propagate."""
        try:
            yield
        except Exception as error:
            self._save_after(error)
            raise
        except BaseException:
            self._wait_quietly()
            raise

    def _save_after(self, error: Exception) -> None:
        """Write a snapshot of the last sound state, which is the end of the last whole step.

        A step that failed before it changed weights is undone: batch-norm statistics, random states and counters are
        those at its start. No snapshot is written if weights may be partly changed, if writing fails, or with several
        processes, since the others wait in the middle of a step.
        """
        self._wait_quietly()
        if self._sound is None or self.processes.world_size > 1 or isinstance(error, LossNotFinite | SaveError):
            return
        counters, chance, changes = self._sound
        if counters["iter"] in (0, self.saved_step):
            return
        if self.updater.changes != changes:
            self.logger.warning("no snapshot is written: the run failed during an update of the weights")
            return
        try:
            self.updater.take_back()
            folder = self._save(counters, chance)
            self.writer.wait()
        except Exception as second:  # the run ends with the first error
            self.logger.warning(f"no snapshot could be written for the failed run: {second}")
        else:
            if folder is not None:
                self.logger.warning(f"the run failed; continue it from {folder} with --resume")

    def _wait_quietly(self) -> None:
        """Wait for a snapshot that is being written, while an error is already propagating."""
        try:
            self.writer.wait()
        except OfakitError as error:
            self.logger.warning(str(error))

    def _fixed_values(self) -> dict[str, Any]:
        """What a resumed run must have in common with this one; a large vocabulary takes a while to fingerprint."""
        if self._fixed is None:
            others = {**self.bundle.fixed(), "the training examples": self.loading.fingerprint}
            self._fixed = fixed_values(self.experiment.train, others)
        return self._fixed

    def _is_fit(self) -> bool:
        """Whether every process can continue from its current state; logs the reason if not."""
        reason = None
        if self.updater.bad_steps_in_a_row:
            reason = "the last step was skipped"
        elif self.writer.copies is not None and self.sharding is None:
            pass  # the writer checks its copy
        elif not all_finite([*self.model.state_dict().values(), *_tensors_of(self.optimizer)]):
            reason = "a weight or an optimizer moment is not finite"
        reason = next((found for found in self.processes.gather(reason) if found is not None), None)
        if reason is not None:
            self._say_unfit(reason)
        return reason is None

    def _say_unfit(self, reason: str) -> None:
        self.logger.warning(f"no snapshot is written: {reason}; the previous one is intact")

    def _resume(self, path: Path) -> None:
        """Continue from a snapshot in every respect."""
        state = read_state(path)
        refuse_changes(path, state.get("fixed"), self._fixed_values())
        load_weights(path, self.model)
        restore_optimizer(self.optimizer, state["optimizer"])
        if self.average is not None:
            self.average.load_state_dict(state["average"])
        divided_anew = self.experiment.train.examples_per_step is not None
        self.loading.sampler.load_state_dict(state["sampler"], divided_anew)
        self.set_counters(state)
        self.saved_step = self._iter
        self.lr_scheduler.load_state_dict(state["scheduler"])
        self.updater.scaler.load_state_dict(state["scaler"])
        self.updater.bad_steps, self.updater.bad_steps_in_a_row = state["bad_steps"]
        self.updater.halvings = state.get("batches", {}).get("halvings", 0)
        self._restore_chance(state["random"])
        self.logger.info(f"resuming from {path}: epoch {self._epoch + 1}, step {self._iter}")

    def _restore_chance(self, states: Sequence[Mapping[str, Any]]) -> None:
        """The random states of each process; if their number has changed, new ones, the same at every resume."""
        if len(states) == self.processes.world_size:
            restore_random_state(states[self.processes.rank])
            return
        seed = np.random.SeedSequence([self.experiment.seed, self._iter, self.processes.rank]).generate_state(1)[0]
        random.seed(int(seed))
        np.random.seed(seed)
        torch.manual_seed(int(seed))
        self.logger.info(f"the snapshot was written by {len(states)} processes: random numbers start afresh")


def _tensors_of(optimizer: torch.optim.Optimizer) -> list[torch.Tensor]:
    """The moments of an optimizer."""
    return [value for own in optimizer.state.values() for value in own.values() if isinstance(value, torch.Tensor)]
