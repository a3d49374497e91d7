"""When a snapshot is written, when it may not be, and that a run goes on from it bit for bit."""

from __future__ import annotations

import json
import math
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch
from modelscope.trainers.hooks.hook import Hook
from ofakit.trainers import Trainer
from ofakit.trainers.state import latest_snapshot
from ofakit.trainers.update import LossNotFinite

from tests.file_limit import file_limit

from .conftest import trained


class Poison(Hook):
    """Makes the loss of some steps NaN."""

    def __init__(self, *steps):
        self.steps = steps

    def before_train_iter(self, trainer):
        trainer.updater.objectives[0].label_smoothing = math.nan if trainer.iter + 1 in self.steps else 0.1


def memory(trainer):
    """What a run knows beside its weights."""
    return {
        "counters": (trainer.epoch, trainer.iter, trainer.inner_iter, trainer.evaluations, trainer.metric_values),
        "bad steps": (trainer.updater.bad_steps, trainer.updater.bad_steps_in_a_row),
        "hooks": [hook.state_dict() for hook in trainer._hooks],
        "schedule": trainer.lr_scheduler.state_dict(),
        "chance": torch.get_rng_state().tolist(),
    }


def test_a_resumed_run_remembers_what_the_run_knew(experiment):
    hooks = [
        {"type": "EvaluationHook", "interval": 1},
        {"type": "BestSnapshotHook", "metric_key": "captions"},
        {"type": "EarlyStopHook", "metric_key": "captions", "patience": 5},
        {"type": "SnapshotHook", "interval": 1},
    ]
    config = experiment(train={"hooks": hooks})
    trainer = trained(config, callbacks=[Poison(2, 5)])
    known = memory(trainer)
    assert known["bad steps"] == (2, 0) and trainer.evaluations == 2
    for state in ({"best": 16, "seen_evaluations": 2}, {"best_score": 16, "wait_count": 1}):
        assert state in known["hooks"]
    snapshot = latest_snapshot(Path(config.work_dir))
    resumed = trained(config, str(snapshot), callbacks=[Poison()])
    assert memory(resumed) == known
    without_one = Trainer(experiment=config, device="cpu")
    without_one.train(str(snapshot))
    states = {type(hook): hook.state_dict() for hook in resumed._hooks if not isinstance(hook, Poison)}
    assert {type(hook): hook.state_dict() for hook in without_one._hooks} == states
    assert resumed.seconds_before == json.loads((snapshot / "state.json").read_text())["seconds"] > 0
    about = json.loads((Path(config.work_dir) / "best" / "configuration.json").read_text())["ofakit"]
    assert about["step"] == 3


class BrokenWeight(Hook):
    """Makes a weight infinite after a step whose loss was fine, as an update that is too large does."""

    PRIORITY = "HIGHEST"

    def __init__(self, step):
        self.step = step

    def after_train_iter(self, trainer):
        if trainer.iter + 1 == self.step:
            trainer.model.encoder.image_proj.bias.data[0] = math.inf


def test_no_snapshot_is_written_in_a_streak_or_with_weights_that_are_not_finite(experiment, caplog):
    hook = {"type": "SnapshotHook", "save_strategy": "by_step", "interval": 1, "max_checkpoint_num": None}
    config = experiment(train={"max_epochs": 3, "hooks": [hook], "max_bad_steps": 2})
    with pytest.raises(LossNotFinite):
        trained(config, callbacks=[Poison(2, 4), BrokenWeight(6)])
    kept = {path.name for path in (Path(config.work_dir) / "checkpoints").iterdir()}
    assert kept == {"step_1", "step_3", "step_5"}
    said = (Path(config.work_dir) / "train.log").read_text()
    assert said.count("no snapshot is written: the last step was skipped") == 3
    assert said.count("no snapshot is written: a weight or a moment of the optimizer is not finite") == 1


def test_full_disk_while_saving_says_so_and_leaves_the_snapshot_before_it(experiment, monkeypatch):
    from ofakit.files import SaveError
    from ofakit.trainers import resumable

    real = resumable.save_state

    def full(folder, *rest):
        with file_limit(10_000) if "step_6" in folder.name else nullcontext():
            real(folder, *rest)

    config = experiment()
    monkeypatch.setattr(resumable, "save_state", full)
    with pytest.raises(SaveError, match="step_6: File too large.*intact"):
        trained(config)
    monkeypatch.setattr(resumable, "save_state", real)
    snapshot = latest_snapshot(Path(config.work_dir))
    assert snapshot.name == "step_3"
    resumed = Trainer(experiment=config, device="cpu")
    resumed.train(str(snapshot))
    assert resumed.iter == 6
