"""Stop when a score has not improved for a while; unlike ModelScope's own hook, it keeps its state across a resume.

{"type": "EarlyStopHook", "metric_key": "cider", "patience": 3}
"""

from __future__ import annotations

from typing import Any

from modelscope.trainers.hooks.builder import HOOKS
from modelscope.trainers.hooks.early_stop_hook import EarlyStopHook

from ofakit.hooks.watched_score import watched_score

__all__ = ["ResumableEarlyStopHook"]


@HOOKS.register_module(module_name="ResumableEarlyStopHook")
class ResumableEarlyStopHook(EarlyStopHook):
    """ModelScope's EarlyStopHook, with its state in the snapshots. Takes the same arguments."""

    def _should_stop(self, trainer: Any) -> bool:
        if trainer.metric_values is not None:
            watched_score(trainer.metric_values, self.metric_key, "EarlyStopHook")
        return super()._should_stop(trainer)

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run must know."""
        best = self.best_score if abs(self.best_score) != float("inf") else None
        return {"best_score": best, "wait_count": self.wait_count}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up the state of a snapshot.

        Args:
            state_dict: From `state_dict`.
        """
        if state_dict["best_score"] is not None:
            self.best_score = state_dict["best_score"]
        self.wait_count = state_dict["wait_count"]
