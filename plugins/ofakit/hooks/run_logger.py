"""The base of hooks that send numbers and captions to another program; each is a file next to this one.

A subclass says which package it needs and how it starts, sends and ends. Only the main process sends. A program that
fails, for lack of a network or a login, costs one warning and its log, never the run.
"""

from __future__ import annotations

import importlib.util
import math
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from modelscope.trainers.hooks.hook import Hook
from modelscope.trainers.hooks.priority import Priority

from ofakit.errors import UsageError
from ofakit.hooks.caption_samples import CaptionSample, caption_samples
from ofakit.hooks.new_evaluation import NewEvaluations
from ofakit.hooks.step_means import StepMeans

__all__ = ["RunLoggerHook"]


class RunLoggerHook(Hook):
    """Log means over steps, the scores of evaluations, and captions with their images after each.

    Attributes:
        package: What pip installs.
        module: What of it is imported.
        title: What its makers call it.
        run_id: The run's name in that program, kept in snapshots: a resumed run continues under it.

    Args:
        interval: Steps between numbers, which are means over those that were not skipped.
        images: How many images of an evaluation are shown with their captions; 0 shows none.

    Raises:
        UsageError: The package is not installed, or an argument is out of range.
    """

    PRIORITY = Priority.VERY_LOW
    package: ClassVar[str]
    module: ClassVar[str]
    title: ClassVar[str]

    def __init__(self, interval: int = 10, images: int = 8) -> None:
        if interval < 1 or images < 0:
            raise UsageError(f"expected interval >= 1 and images >= 0, found {interval} and {images}")
        if importlib.util.find_spec(self.module) is None:
            raise UsageError(f"{type(self).__name__} needs {self.title}: pip install {self.package}")
        self.interval = interval
        self.images = images
        self.run_id: str | None = None
        self.evaluations = NewEvaluations()
        self.means = StepMeans()
        self.is_on = False

    @abstractmethod
    def start(self, trainer: Any) -> str | None:
        """Begin a run, or go on with that of `run_id`.

        Args:
            trainer: The trainer before its first step.

        Returns:
            The run's id, where there is one.
        """

    @abstractmethod
    def log_scalars(self, numbers: Mapping[str, float], step: int) -> None:
        """Send numbers.

        Args:
            numbers: By name; all are finite.
            step: How many steps were made.
        """

    @abstractmethod
    def log_captions(self, samples: Sequence[CaptionSample], step: int) -> None:
        """Send images with their captions.

        Args:
            samples: At least one.
            step: How many steps were made.
        """

    @abstractmethod
    def finish(self) -> None:
        """End the run."""

    def before_run(self, trainer: Any) -> None:
        """Begin, in the main process.

        Args:
            trainer: The trainer before its first step.
        """
        self.evaluations.start_anew(trainer)
        self.is_on = trainer.processes.is_main
        self._attempt(trainer, lambda: self._start(trainer))
        self.means.start_anew()

    def after_train_iter(self, trainer: Any) -> None:
        """Send the means at the end of an interval, and what an evaluation found.

        Args:
            trainer: The running trainer.
        """
        self.means.add(trainer)
        if self.every_n_iters(trainer, self.interval):
            means = self.means.take()
            self._attempt(trainer, lambda: self._log_numbers(means, trainer.iter + 1))
        self._log_evaluation(trainer)

    def after_train_epoch(self, trainer: Any) -> None:
        """Send what an evaluation at the end of the epoch found.

        Args:
            trainer: The running trainer.
        """
        self._log_evaluation(trainer)

    def after_run(self, trainer: Any) -> None:
        """End.

        Args:
            trainer: The trainer after its last step.
        """
        self._attempt(trainer, self.finish)

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run must know."""
        return {"run_id": self.run_id}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up the state of a snapshot.

        Args:
            state_dict: From `state_dict`.
        """
        self.run_id = state_dict.get("run_id")

    def _start(self, trainer: Any) -> None:
        self.run_id = self.start(trainer)

    def _log_evaluation(self, trainer: Any) -> None:
        found = self.evaluations.take(trainer)
        if found is None:
            return
        step, scores = found
        predictions = Path(trainer.work_dir) / "eval" / "val.predictions.jsonl"
        self._attempt(trainer, lambda: self._log_numbers(scores, step))
        self._attempt(trainer, lambda: self._log_samples(predictions, step))

    def _log_numbers(self, numbers: Mapping[str, Any], step: int) -> None:
        finite = {name: float(v) for name, v in numbers.items() if isinstance(v, int | float) and math.isfinite(v)}
        if finite:
            self.log_scalars(finite, step)

    def _log_samples(self, predictions: Path, step: int) -> None:
        samples = caption_samples(predictions, self.images)
        if samples:
            self.log_captions(samples, step)

    def _attempt(self, trainer: Any, action: Callable[[], None]) -> None:
        """Do something that may fail for reasons outside the run; after a failure nothing more is sent."""
        if not self.is_on:
            return
        try:
            action()
        except Exception as error:  # what another program raises is not known, and the run does not depend on it
            self.is_on = False
            trainer.logger.warning(
                f"{type(self).__name__}: {type(error).__name__}: {str(error)[:500]}; training continues, but nothing "
                f"more is sent to {self.title} until the run is resumed"
            )
