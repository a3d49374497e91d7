"""When a snapshot is written, when it may not be, and that a run goes on from it bit for bit."""

from __future__ import annotations

import errno
import json
import math
import multiprocessing
import time
from contextlib import nullcontext
from pathlib import Path
from unittest.mock import Mock

import pytest
import torch
from modelscope.trainers.hooks.hook import Hook
from ofakit.data import ExampleDataset
from ofakit.files import SaveError
from ofakit.trainers import Trainer, snapshot_writer
from ofakit.trainers.snapshot_writer import SnapshotWriter
from ofakit.trainers.state import latest_snapshot
from ofakit.trainers.update import LossNotFinite

from tests.file_limit import file_limit

from .conftest import trained, weights


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
    assert said.count("no snapshot is written: a weight or an optimizer moment is not finite") == 1


@pytest.mark.parametrize("in_background", [True, False])
def test_full_disk_while_saving_says_so_and_leaves_the_snapshot_before_it(experiment, monkeypatch, in_background):
    real = snapshot_writer.write_state

    def full(folder, *rest):
        with file_limit(10_000) if "step_6" in folder.name else nullcontext():
            real(folder, *rest)

    config = experiment(train={"async_snapshots": in_background})
    monkeypatch.setattr(snapshot_writer, "write_state", full)
    with pytest.raises(SaveError, match="step_6: File too large.*intact"):
        trained(config)
    monkeypatch.setattr(snapshot_writer, "write_state", real)
    snapshot = latest_snapshot(Path(config.work_dir))
    assert snapshot.name == "step_3"
    resumed = Trainer(experiment=config, device="cpu")
    resumed.train(str(snapshot))
    assert resumed.iter == 6


RARE = [
    {"type": "MetricsFileHook", "interval": 1},
    {"type": "SnapshotHook", "save_strategy": "by_step", "interval": 99},
]


class Fails(Hook):
    """Fails at a place of step 5: before it, within its passes, within its update, or in the hooks after it."""

    PRIORITY = "HIGHEST"

    def __init__(self, place):
        self.place = place

    def before_train_iter(self, trainer):
        if trainer.iter + 1 != 5:
            return
        if self.place == "before":
            torch.rand(3)
            raise ValueError("out of luck")
        if self.place in ("passes", "update"):
            owner = trainer.updater if self.place == "passes" else trainer.optimizer
            name = "_gradient_norm" if self.place == "passes" else "step"

            def fail(*_, **__):
                raise ValueError("out of luck")

            setattr(owner, name, fail)

    def after_train_iter(self, trainer):
        if trainer.iter + 1 == 5 and self.place == "after":
            torch.rand(3)
            raise ValueError("out of luck")


@pytest.mark.parametrize("place, kept", [("before", 4), ("passes", 4), ("update", None), ("after", 5)])
def test_a_run_that_fails_leaves_its_last_sound_state(experiment, place, kept):
    whole = trained(experiment("whole", train={"hooks": RARE}))
    config = experiment("parts", train={"hooks": RARE})
    with pytest.raises(ValueError, match="out of luck"):
        trained(config, callbacks=[Fails(place)])
    snapshot = latest_snapshot(Path(config.work_dir))
    assert (snapshot and snapshot.name) == (kept and f"step_{kept}")
    if kept:
        resumed = trained(config, str(snapshot))
        assert all(torch.equal(value, weights(resumed)[key]) for key, value in weights(whole).items())


def test_a_broken_example_fails_with_its_message_and_costs_no_step(experiment, monkeypatch):
    config = experiment(train={"hooks": RARE, "dataloader": {"workers_per_gpu": 1}})
    real = ExampleDataset.__getitem__
    seen = multiprocessing.Value("i", 0)

    def broken(self, index):
        seen.value += 1
        if seen.value > 70:
            raise ValueError("this one is broken")
        return real(self, index)

    with monkeypatch.context() as patched:
        patched.setattr(ExampleDataset, "__getitem__", broken)
        with pytest.raises(ValueError, match="this one is broken"):
            trained(config)
    assert latest_snapshot(Path(config.work_dir)) is not None


def test_snapshots_on_their_way_have_the_bytes_of_those_that_are_waited_for(experiment, monkeypatch):
    hook = {"type": "SnapshotHook", "save_strategy": "by_step", "interval": 1, "max_checkpoint_num": None}
    real = snapshot_writer.write_state

    def slow(folder, state):
        time.sleep(0.2)  # the loop goes on and changes weights
        real(folder, state)

    monkeypatch.setattr(snapshot_writer, "write_state", slow)
    runs = [
        experiment(str(way), train={"async_snapshots": way, "hooks": [hook], "max_steps": 4}) for way in (True, False)
    ]
    for config in runs:
        trained(config)
    for step in range(1, 5):
        for name in ("model.safetensors", "state.safetensors"):
            one, other = (Path(c.work_dir) / "checkpoints" / f"step_{step}" / name for c in runs)
            assert one.read_bytes() == other.read_bytes()


def test_a_snapshot_that_cannot_be_written_ends_the_run_at_its_next_step(experiment, monkeypatch):
    hook = {"type": "SnapshotHook", "save_strategy": "by_step", "interval": 2, "max_checkpoint_num": None}
    monkeypatch.setattr(snapshot_writer, "write_state", Mock(side_effect=OSError(errno.ENOSPC, "full")))
    monkeypatch.setattr(SnapshotWriter, "look", SnapshotWriter.wait)
    steps = []
    with pytest.raises(SaveError, match="No space left"):
        trained(experiment(train={"hooks": [hook]}), callbacks=[Counted(steps)])
    assert steps == [1, 2]


class Counted(Hook):
    """Notes the steps."""

    def __init__(self, steps):
        self.steps = steps

    def after_train_iter(self, trainer):
        self.steps.append(trainer.iter + 1)
