"""Training stops when the score has not improved for a while, over a resume too."""

from __future__ import annotations

import json
import logging
from types import SimpleNamespace

import pytest
from ofakit.errors import UsageError
from ofakit.hooks.early_stop import ResumableEarlyStopHook


def stopped_after(scores, resumed_after=None, **keys):
    """How many evaluations it takes until training stops; None if it never does."""
    trainer = SimpleNamespace(metric_values=None, iter=0, epoch=0, logger=logging.getLogger("test"))

    def begun():
        hook = ResumableEarlyStopHook("cider", early_stop_strategy="by_step", **keys)
        hook.before_run(trainer)
        return hook

    hook = begun()
    for count, score in enumerate(scores, start=1):
        trainer.metric_values = {"cider": score}
        hook.after_train_iter(trainer)
        if getattr(trainer, "_stop_training", False):
            return count
        if count == resumed_after:
            state = json.loads(json.dumps(hook.state_dict(), allow_nan=False))
            hook = begun()
            hook.load_state_dict(state)
    return None


@pytest.mark.parametrize("resumed_after", [None, 1, 2, 3])
@pytest.mark.parametrize(
    ("keys", "scores", "stop"),
    [
        ({"patience": 2}, [1.0, 2.0, 1.0, 2.0], 4),
        ({"patience": 2}, [1.0, 2.0, 1.0, 3.0], None),
        ({"patience": 2, "rule": "min"}, [1.0, 2.0, 3.0, 0.5], 3),
        ({"patience": 2, "min_delta": 0.5}, [1.0, 1.1, 1.2, 1.3], 3),
        ({"patience": 9}, [1.0, 1.0, float("nan")], 3),
    ],
)
def test_a_score_that_does_not_improve_ends_the_training(keys, scores, stop, resumed_after):
    assert stopped_after(scores, resumed_after, **keys) == stop


def test_nothing_is_remembered_before_the_first_evaluation():
    hook = ResumableEarlyStopHook("cider")
    assert hook.state_dict() == {"best_score": None, "wait_count": 0}
    again = ResumableEarlyStopHook("cider", rule="min")
    again.load_state_dict(hook.state_dict())
    assert again.best_score == float("inf")


def test_before_the_first_evaluation_nothing_is_watched():
    hook = ResumableEarlyStopHook("cider")
    trainer = SimpleNamespace(metric_values=None, epoch=0, logger=logging.getLogger("test"))
    hook.before_run(trainer)
    hook.after_train_epoch(trainer)
    assert not hasattr(trainer, "_stop_training") and hook.wait_count == 0


def test_a_score_that_is_not_there_is_named():
    with pytest.raises(UsageError, match="EarlyStopHook watches metric_key 'cider'.*available: bleu4"):
        hook = ResumableEarlyStopHook("cider")
        trainer = SimpleNamespace(metric_values={"bleu4": 1.0}, epoch=0, logger=logging.getLogger("test"))
        hook.before_run(trainer)
        hook.after_train_epoch(trainer)
