"""`metrics.jsonl` and a line in the log: one JSON object per logged step and one per evaluation.

{"type": "MetricsFileHook", "interval": 10}
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from modelscope.trainers.hooks.builder import HOOKS
from modelscope.trainers.hooks.hook import Hook
from modelscope.trainers.hooks.priority import Priority

from ofakit.files import saving, write_text
from ofakit.hooks.new_evaluation import NewEvaluations
from ofakit.hooks.step_means import StepMeans
from ofakit.json_text import from_json, to_json
from ofakit.progress import TOLD_BY_THE_BAR

__all__ = ["MetricsFileHook"]


@HOOKS.register_module(module_name="MetricsFileHook")
class MetricsFileHook(Hook):
    """Write what is measured; a number that is not finite is null.

    Args:
        interval: Steps between lines. The numbers are means over those that were not skipped; `bad_steps` counts the
            others.
    """

    PRIORITY = Priority.VERY_LOW

    def __init__(self, interval: int = 10) -> None:
        self.interval = interval
        self.evaluations = NewEvaluations()
        self.means = StepMeans()

    def before_run(self, trainer: Any) -> None:
        """Remove the lines of steps and evaluations that are about to be repeated, and start the clock.

        Args:
            trainer: The trainer before its first step.
        """
        self.path = Path(trainer.work_dir) / "metrics.jsonl"
        self.evaluations.start_anew(trainer)
        if trainer.processes.is_main:
            lines = self.path.read_bytes().splitlines() if self.path.is_file() else []
            kept = [line for line in lines if (step := _step_of(line)) is not None and step <= trainer.iter]
            # An evaluation that came after the snapshot of its step is about to be repeated, too.
            again = [line for line in kept if b'"evaluation/' in line][trainer.evaluations :]
            write_text(self.path, "".join(f"{line.decode()}\n" for line in kept if line not in again))
        self.means.start_anew()

    def after_train_iter(self, trainer: Any) -> None:
        """Add up the numbers, and write their means at the end of an interval.

        Args:
            trainer: The running trainer.
        """
        self.means.add(trainer)
        if self.every_n_iters(trainer, self.interval):
            self._write(trainer, trainer.iter + 1, self.means.take())
        self._write_evaluation(trainer)

    def after_train_epoch(self, trainer: Any) -> None:
        """Write an evaluation made at the end of the epoch.

        Args:
            trainer: The running trainer.
        """
        self._write_evaluation(trainer)

    def _write_evaluation(self, trainer: Any) -> None:
        found = self.evaluations.take(trainer)
        if found is not None:
            self._write(trainer, *found)

    def _write(self, trainer: Any, step: int, numbers: Mapping[str, Any]) -> None:
        if not trainer.processes.is_main:
            return
        numbers = {name: _for_json(value) for name, value in numbers.items()}
        with saving(self.path), open(self.path, "a", encoding="utf-8") as file:
            file.write(to_json({"step": step, "epoch": trainer.epoch + 1, **numbers}) + "\n")
        overall = {n.removeprefix("evaluation/"): v for n, v in numbers.items() if isinstance(v, float)}
        shown = "  ".join(f"{name} {value:.4g}" for name, value in overall.items() if "/" not in name)
        extra = TOLD_BY_THE_BAR if "loss" in numbers else None
        line = f"epoch {trainer.epoch + 1}/{trainer.max_epochs}  step {step}/{trainer.max_iters}  {shown}"
        trainer.logger.info(line, extra=extra)


def _for_json(value: Any) -> Any:
    """The value, or None if it is not a number that JSON knows."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _step_of(line: bytes) -> int | None:
    """The step of a line; None for one that a killed run left unfinished, or that is damaged in another way."""
    try:
        return int(from_json(line)["step"])
    except (ValueError, KeyError, TypeError, OverflowError):
        return None
