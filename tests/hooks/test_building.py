"""Hooks take ModelScope's keys, refuse what they cannot do, and name the nearest of a key or type that is unknown."""

from __future__ import annotations

import pytest
from ofakit.errors import UsageError
from ofakit.hooks.best_snapshot import BestSnapshotHook
from ofakit.hooks.building import build_hook
from ofakit.hooks.early_stop import ResumableEarlyStopHook
from ofakit.hooks.snapshot import SnapshotHook

HUB = {
    "push_to_hub": False,
    "hub_repo_id": None,
    "hub_token": None,
    "private_hub": True,
    "hub_revision": "master",
    "upload_strategy": "cancel",
}


@pytest.mark.parametrize(
    "spec, kind, expected",
    [
        (
            {"type": "CheckpointHook", "interval": 2, "by_epoch": False, "max_checkpoint_num": 3, "save_last": False}
            | {"save_dir": None, "output_dir": None, "output_sub_dir": "output", "save_trainer_state": True, **HUB},
            SnapshotHook,
            {"interval": 2, "save_strategy": "by_step", "max_checkpoint_num": 3, "save_last": False},
        ),
        ({"type": "CheckpointHook", "interval": 0}, SnapshotHook, {"interval": 0}),
        (
            {"type": "BestCkptSaverHook", "metric_key": "bleu4", "rule": "min", "interval": 1, "by_epoch": True}
            | {"max_checkpoint_num": 3, "save_best": True, "save_file_name": None, "restore_best": False}
            | {"save_strategy": "by_epoch", "save_last": True, "output_sub_dir": "output_best", **HUB},
            BestSnapshotHook,
            {"metric_key": "bleu4", "rule": "min"},
        ),
        (
            {"type": "EarlyStopHook", "metric_key": "cider", "by_epoch": False, "interval": 5, "patience": 2}
            | {"rule": "min", "min_delta": 0.1, "check_finite": False},
            ResumableEarlyStopHook,
            {"early_stop_strategy": "by_step", "interval": 5, "patience": 2, "rule": "min"},
        ),
    ],
)
def test_modelscope_keys_are_honoured_or_accepted_where_they_ask_for_nothing(spec, kind, expected):
    hook = build_hook(spec)
    assert type(hook) is kind
    assert {name: getattr(hook, name) for name in expected} == expected


def test_every_argument_of_modelscopes_own_checkpoint_hooks_is_known():
    from modelscope.trainers.hooks.checkpoint.checkpoint_hook import BestCkptSaverHook, CheckpointHook
    from modelscope.trainers.hooks.early_stop_hook import EarlyStopHook
    from ofakit.hooks.building import _arguments_of

    pairs = {CheckpointHook: SnapshotHook, BestCkptSaverHook: BestSnapshotHook, EarlyStopHook: ResumableEarlyStopHook}
    for theirs, ours in pairs.items():
        known = {*_arguments_of(ours), *getattr(ours, "INERT_KEYS", {})}
        assert {*_arguments_of(theirs)} <= known, theirs


@pytest.mark.parametrize(
    "spec, words",
    [
        ({"type": "CheckpointHook", "push_to_hub": True}, "push_to_hub.*not supported.*PushToHubHook"),
        ({"type": "CheckpointHook", "save_dir": "elsewhere"}, "save_dir.*not supported.*work_dir"),
        ({"type": "BestCkptSaverHook", "metric_key": "cider", "restore_best": True}, "restore_best.*best/"),
        ({"type": "BestCkptSaverHook", "save_file_name": "x"}, "save_file_name.*best/"),
        ({"type": "SnapshotHook", "intervall": 1}, "'intervall'.*did you mean 'interval'"),
        ({"type": "BestSnapshotHook", "metric": "cider"}, "'metric'.*did you mean 'metric_key'"),
        ({"type": "EvaluationHook", "intervall": 1}, "'intervall'.*did you mean 'interval'"),
        ({"type": "EvaluationHook", "eval_strategy": "by_steps"}, "eval_strategy.*'by_steps'.*did you mean 'by_step'"),
        ({"type": "EvaluationHook", "interval": 0}, "interval must be a positive number"),
        ({"type": "EarlyStopHook", "metric_key": "cider", "rule": "maximum"}, "rule.*'maximum'.*max"),
        ({"type": "EarlyStopHook", "metric_key": "cider", "patient": 2}, "'patient'.*did you mean 'patience'"),
        ({"type": "EarlyStopHook"}, "metric_key"),
        ({"type": "TextLoggerHook", "intervall": 1}, "'intervall'.*did you mean 'interval'"),
        ({"type": "EvalutionHook"}, "unknown hook.*did you mean 'EvaluationHook'.*IterTimerHook.*SnapshotHook"),
    ],
)
def test_what_a_hook_cannot_do_is_refused_with_what_would_do(spec, words):
    with pytest.raises(UsageError, match=words):
        build_hook(spec)


def test_an_unknown_type_is_refused_by_one_message_only(caplog, capfd):
    with pytest.raises(UsageError):
        build_hook({"type": "NoSuchHook"})
    assert not caplog.records and "NoSuchHook" not in "".join(capfd.readouterr())


@pytest.mark.parametrize(
    "spec",
    [
        {"type": "EvaluationHook", "by_epoch": True, "interval": 1},
        {"type": "TextLoggerHook", "interval": 1},
        {"type": "IterTimerHook"},
    ],
)
def test_modelscopes_own_hooks_are_built_by_its_keys(spec):
    assert type(build_hook(spec)).__name__ == spec["type"]
