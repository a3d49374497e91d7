"""`best/` is written when the watched score improves, and only then."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from ofakit.hooks.best_snapshot import BestSnapshotHook


@pytest.mark.parametrize("rule, kept", [("max", [3.0, 5.0, 6.0]), ("min", [3.0, 2.0, 1.0])])
@pytest.mark.parametrize("resumed_after", [None, 2, 5])
def test_only_a_better_score_is_kept(rule, kept, resumed_after):
    hook, saved = BestSnapshotHook("cider", rule), []
    trainer = SimpleNamespace(evaluations=0, metric_values=None, save_best=lambda scores: saved.append(scores["cider"]))
    for score in (3.0, 5.0, 2.0, 3.0, 5.0, 2.0, 6.0, 1.0):
        if trainer.evaluations == resumed_after:
            state = hook.state_dict()
            hook = BestSnapshotHook("cider", rule)
            hook.load_state_dict(state)
        hook.after_train_iter(trainer)
        trainer.evaluations, trainer.metric_values = trainer.evaluations + 1, {"cider": score}
        hook.after_train_iter(trainer)
        hook.after_train_epoch(trainer)
    assert saved == kept
