"""`best/` is written when the watched score improves, and only then."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from ofakit.errors import UsageError
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


@pytest.mark.parametrize(("rule", "kept"), [("max", ["nan", "3.0", "5.0"]), ("min", ["nan", "3.0"])])
def test_a_score_that_is_not_a_number_gives_way_to_the_next_and_replaces_none(rule, kept):
    hook, saved = BestSnapshotHook("cider", rule), []
    trainer = SimpleNamespace(evaluations=0, save_best=lambda scores: saved.append(str(scores["cider"])))
    for score in (float("nan"), 3.0, float("nan"), 5.0):
        trainer.evaluations, trainer.metric_values = trainer.evaluations + 1, {"cider": score}
        hook.after_train_iter(trainer)
    assert saved == kept


def test_an_unknown_rule_and_an_unknown_score_are_refused():
    with pytest.raises(UsageError, match="the rule must be max or min, found 'most'"):
        BestSnapshotHook("cider", "most")
    trainer = SimpleNamespace(evaluations=1, metric_values={"bleu4": 1.0})
    with pytest.raises(UsageError, match="BestSnapshotHook watches metric_key 'cider'.*available: bleu4"):
        BestSnapshotHook("cider").after_train_epoch(trainer)
