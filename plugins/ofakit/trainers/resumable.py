"""Snapshots of a running trainer: what they hold beside the weights, when none is written, and going on from one."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import torch

from ofakit.files import replace_folder
from ofakit.hub import ModelBundle
from ofakit.trainers.hooked_trainer import HookedTrainer
from ofakit.trainers.resume_check import fixed_values, refuse_changes
from ofakit.trainers.state import (
    all_finite,
    load_weights,
    random_state,
    read_state,
    restore_optimizer,
    restore_random_state,
    save_state,
    snapshot_folder,
)
from ofakit.trainers.update import Updater

__all__ = ["ResumableTrainer"]


class ResumableTrainer(HookedTrainer):
    """A trainer whose run can be left at any step and gone on with.

    Attributes:
        bundle: The model with tokenizer and settings.
        updater: Changes the weights.
    """

    bundle: ModelBundle
    updater: Updater

    def save_snapshot(self, epoch_is_over: bool) -> Path | None:
        """Write everything a resumed run needs, unless the model is in no state to go on from.

        Args:
            epoch_is_over: Whether this is the end of the epoch's loop.

        Returns:
            The snapshot's folder; None where none was written, since the last step was skipped or the model or the
            optimizer has a value that is not finite.
        """
        if not self._is_fit():
            return None
        began = time.perf_counter()
        counters = self.counters(epoch_is_over)
        folder = snapshot_folder(Path(self.work_dir), counters["iter"])
        rest = {
            **counters,
            "sampler": self.loading.sampler.state_dict(self._epoch, 0),
            "fixed": self._fixed_values(),
            "scheduler": self.lr_scheduler.state_dict(),
            "scaler": self.updater.scaler.state_dict(),
            "bad_steps": [self.updater.bad_steps, self.updater.bad_steps_in_a_row],
            "random": self.processes.gather(random_state()),
        }
        if self.processes.is_main:
            with replace_folder(folder, keep_strangers=True) as new:
                save_state(new, self.model, self.optimizer, rest)
        self.processes.wait()
        self.saved_step = counters["iter"]
        self.longest_save = max(self.longest_save, time.perf_counter() - began)
        return folder

    def _fixed_values(self) -> dict[str, Any]:
        """What a resumed run must have in common with this one."""
        others = {**self.bundle.fixed(), "the training examples": self.loading.fingerprint}
        return fixed_values(self.experiment.train, self.processes.world_size, others)

    def _is_fit(self) -> bool:
        """Whether every process may go on from what it has now; says why where not."""
        reason = None
        if self.updater.bad_steps_in_a_row:
            reason = "the last step was skipped"
        elif not all_finite([*self.model.state_dict().values(), *_tensors_of(self.optimizer)]):
            reason = "a weight or a moment of the optimizer is not finite"
        reason = next((found for found in self.processes.gather(reason) if found is not None), None)
        if reason is not None:
            self.logger.warning(f"no snapshot is written: {reason}; the one before is intact")
        return reason is None

    def _resume(self, path: Path) -> None:
        """Go on from a snapshot in every respect."""
        state = read_state(path)
        refuse_changes(path, state.get("fixed"), self._fixed_values())
        load_weights(path, self.model)
        restore_optimizer(self.optimizer, state["optimizer"])
        self.loading.sampler.load_state_dict(state["sampler"])
        self.set_counters(state)
        self.lr_scheduler.load_state_dict(state["scheduler"])
        self.updater.scaler.load_state_dict(state["scaler"])
        self.updater.bad_steps, self.updater.bad_steps_in_a_row = state["bad_steps"]
        restore_random_state(state["random"][self.processes.rank])
        self.logger.info(f"going on from {path}: epoch {self._epoch + 1}, step {self._iter}")


def _tensors_of(optimizer: torch.optim.Optimizer) -> list[torch.Tensor]:
    """The moments of an optimizer."""
    return [value for own in optimizer.state.values() for value in own.values() if isinstance(value, torch.Tensor)]
