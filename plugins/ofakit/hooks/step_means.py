"""Means over the steps since they were last asked for, as every log shows them."""

from __future__ import annotations

import time
from typing import Any

__all__ = ["StepMeans"]


class StepMeans:
    """The numbers of the steps that were not skipped, how many were, and how many images were seen a second."""

    def __init__(self) -> None:
        self.start_anew()

    def start_anew(self) -> None:
        """Forget all steps, and start the clock."""
        self.sums: dict[str, float] = {}
        self.steps = self.bad_steps = self.images = 0
        self.start = time.perf_counter()

    def add(self, trainer: Any) -> None:
        """Add the step that was just made.

        Args:
            trainer: The running trainer.
        """
        for name, value in trainer.step_logs.items():
            self.sums[name] = self.sums.get(name, 0.0) + (0.0 if trainer.step_is_skipped else value)
        self.steps += not trainer.step_is_skipped
        self.bad_steps += trainer.step_is_skipped
        self.images += trainer.examples_in_step

    def take(self) -> dict[str, float | None]:
        """The means so far, after which they start over.

        Returns:
            By name, None where every step was skipped; with `images_per_second` and `bad_steps`.
        """
        means = {name: value / self.steps if self.steps else None for name, value in self.sums.items()}
        rate = self.images / (time.perf_counter() - self.start)
        means |= {"images_per_second": rate, "bad_steps": self.bad_steps}
        self.start_anew()
        return means
