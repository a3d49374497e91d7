"""Snapshots to resume from.

    {"type": "SnapshotHook", "save_strategy": "by_step", "interval": 500, "max_checkpoint_num": 2}

The keys are those of ModelScope's CheckpointHook, and `{"type": "CheckpointHook", …}` in a configuration means this
hook: ModelScope's own snapshots cannot be resumed from, because their random state may no longer be loaded.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, ClassVar, Literal

from modelscope.trainers.hooks.builder import HOOKS
from modelscope.trainers.hooks.hook import Hook
from modelscope.trainers.hooks.priority import Priority

from ofakit.errors import UsageError
from ofakit.files import numbered_folders, remove_folder
from ofakit.hooks.modelscope_keys import OF_EVERY_CHECKPOINT_HOOK

__all__ = ["SnapshotHook"]

Strategy = Literal["by_epoch", "by_step", "no"]


@HOOKS.register_module(module_name="SnapshotHook")
class SnapshotHook(Hook):
    """Save everything needed to continue, at regular intervals.

    A snapshot that is due while steps are skipped, or while a weight is not finite, is made up for after the next good
    step.

    Args:
        save_strategy: Whether `interval` counts epochs or steps; "no" saves none.
        interval: How many epochs or steps there are between snapshots; 0 saves only the last.
        max_checkpoint_num: How many snapshots to keep; None keeps all. An old one goes when the new one is complete.
        save_last: Whether to save after the last step as well.
        by_epoch: ModelScope's older spelling of `save_strategy`.
        minutes: Save after the first step that ends so many minutes after the last snapshot, too.
    """

    PRIORITY = Priority.LOWEST
    INERT_KEYS: ClassVar[dict[str, tuple[Any, str]]] = OF_EVERY_CHECKPOINT_HOOK

    def __init__(
        self,
        save_strategy: Strategy = "by_epoch",
        interval: int = 1,
        max_checkpoint_num: int | None = 2,
        save_last: bool = True,
        by_epoch: bool | None = None,
        minutes: float | None = None,
    ) -> None:
        if by_epoch is not None:
            save_strategy = "by_epoch" if by_epoch else "by_step"
        if save_strategy not in ("by_epoch", "by_step", "no"):
            raise UsageError(f"save_strategy must be by_epoch, by_step or no, found {save_strategy!r}")
        if interval < 0:
            raise UsageError(f"the interval between snapshots must be at least 1, or 0 for none, found {interval}")
        self.save_strategy = save_strategy
        self.interval = interval
        self.max_checkpoint_num = None if max_checkpoint_num is None else max(int(max_checkpoint_num), 1)
        self.save_last = save_last
        if minutes is not None and not minutes > 0:
            raise UsageError(f"the minutes between snapshots must be above 0, or null for none, found {minutes}")
        self.minutes = minutes
        self.saved_at = time.monotonic()
        self.is_owed = False

    def before_run(self, trainer: Any) -> None:
        """Start the clock.

        Args:
            trainer: The trainer before its first step.
        """
        self.saved_at = time.monotonic()

    def after_train_iter(self, trainer: Any) -> None:
        """Save after a step, if steps are counted, and after the last of an epoch, before an evaluation that may fail.

        Args:
            trainer: The running trainer.
        """
        if self.save_strategy == "no":
            return
        due = self.save_strategy == "by_step" and self.every_n_iters(trainer, self.interval)
        if trainer.ends_the_epoch and trainer.is_evaluated_after_epochs:
            due = due or self._is_due_after_epoch(trainer, over=trainer.iter + 1 >= trainer.max_iters)
        if self.minutes is not None and trainer.agree(time.monotonic() - self.saved_at >= 60 * self.minutes):
            due = True
        if due or self.is_owed:
            self._save(trainer, epoch_is_over=False)

    def after_train_epoch(self, trainer: Any) -> None:
        """Save after an epoch, if epochs are counted or this was the last one.

        Args:
            trainer: The running trainer.
        """
        if self.save_strategy != "no" and self._is_due_after_epoch(trainer):
            self._save(trainer, epoch_is_over=True)

    def _is_due_after_epoch(self, trainer: Any, over: bool = False) -> bool:
        """Whether a snapshot follows this epoch; `over` where the trainer does not know yet that it is the last."""
        if self.save_strategy == "by_epoch" and self.every_n_epochs(trainer, self.interval):
            return True
        return self.save_last and (over or trainer.is_over_after_this_epoch)

    def _save(self, trainer: Any, epoch_is_over: bool) -> None:
        folder = trainer.save_snapshot(epoch_is_over, self._remove_old)
        self.saved_at = time.monotonic()
        self.is_owed = folder is None

    def _remove_old(self, new: Path) -> None:
        """Remove what is too many beside a new snapshot."""
        if self.max_checkpoint_num is not None:
            for former in list(numbered_folders(new.parent, "step_").values())[: -self.max_checkpoint_num]:
                if former != new:
                    remove_folder(former)
