"""The model directory `best/`, written whenever the watched score improves.

    {"type": "BestSnapshotHook", "metric_key": "cider", "rule": "max"}

The keys are those of ModelScope's BestCkptSaverHook, and that name in a configuration means this hook. EvaluationHook
decides when there is a new score, as in ModelScope, and `best/` is the only model that is kept. Of a run of several
tasks each has a best model of its own, too, in `best_of/<task>/`.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar, Literal

from modelscope.trainers.hooks.builder import HOOKS
from modelscope.trainers.hooks.hook import Hook
from modelscope.trainers.hooks.priority import Priority

from ofakit.errors import UsageError
from ofakit.hooks.modelscope_keys import ANY, OF_EVERY_CHECKPOINT_HOOK
from ofakit.hooks.watched_score import watched_score

__all__ = ["BestSnapshotHook"]


@HOOKS.register_module(module_name="BestSnapshotHook")
class BestSnapshotHook(Hook):
    """Keep the best model so far.

    Args:
        metric_key: The score to watch; where a configuration leaves it out, that of the task.
        rule: Whether a higher or a lower score is better.
        part: One of several tasks, whose directory is written; None: `best/`.
    """

    PRIORITY = Priority.LOW
    INERT_KEYS: ClassVar[dict[str, tuple[Any, str]]] = {
        **OF_EVERY_CHECKPOINT_HOOK,
        **{key: (ANY, "") for key in ("interval", "by_epoch", "save_strategy", "save_last", "max_checkpoint_num")},
        "save_best": ((None, True), "leave the hook out"),
        "save_file_name": ((None,), "the best model is always in best/ of the run directory"),
        "restore_best": ((None, False), "load best/ of the run directory, as tools/finetune.py does"),
    }

    def __init__(self, metric_key: str = "cider", rule: Literal["max", "min"] = "max", part: str | None = None) -> None:
        if rule not in ("max", "min"):
            raise UsageError(f"the rule must be max or min, found {rule!r}")
        self.metric_key = metric_key
        self.rule = rule
        self.part = part
        self.best: float | None = None
        self.seen_evaluations = 0

    def after_train_iter(self, trainer: Any) -> None:
        """Check whether an evaluation has just been made.

        Args:
            trainer: The running trainer.
        """
        self._keep_if_best(trainer)

    def after_train_epoch(self, trainer: Any) -> None:
        """Check whether an evaluation has just been made.

        Args:
            trainer: The running trainer.
        """
        self._keep_if_best(trainer)

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run must know."""
        return {"best": self.best, "seen_evaluations": self.seen_evaluations}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up the state of a snapshot.

        Args:
            state_dict: From `state_dict`.
        """
        self.best = state_dict["best"]
        self.seen_evaluations = state_dict["seen_evaluations"]

    def _keep_if_best(self, trainer: Any) -> None:
        if trainer.evaluations == self.seen_evaluations:
            return
        self.seen_evaluations = trainer.evaluations
        score = watched_score(trainer.metric_values, self.metric_key, "BestSnapshotHook")
        if self.best is None or self._is_better(score, self.best):
            self.best = score
            trainer.save_best({self.metric_key: score}, *(() if self.part is None else (self.part,)))

    def _is_better(self, score: float, best: float) -> bool:
        # Nothing compares as better than a score that is not a number, so any score replaces it.
        return math.isnan(best) or (score > best if self.rule == "max" else score < best)
