"""Evaluations that a hook has not reported yet."""

from __future__ import annotations

from typing import Any

__all__ = ["NewEvaluations"]


class NewEvaluations:
    """Gives the scores of each evaluation once."""

    def __init__(self) -> None:
        self._seen = 0

    def start_anew(self, trainer: Any) -> None:
        """Count the evaluations that there were as told.

        Args:
            trainer: The trainer before its first step.
        """
        self._seen = trainer.evaluations

    def take(self, trainer: Any) -> tuple[int, dict[str, Any]] | None:
        """What an evaluation has found since the last call.

        Args:
            trainer: The running trainer.

        Returns:
            How many steps were made, and the scores by `evaluation/<name>`; None if there was no evaluation.
        """
        if trainer.evaluations == self._seen:
            return None
        self._seen = trainer.evaluations
        step = trainer.iter + (0 if trainer.epoch_is_over else 1)
        return step, {f"evaluation/{name}": value for name, value in trainer.metric_values.items()}
