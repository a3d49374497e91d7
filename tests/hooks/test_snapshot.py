"""Snapshots are saved when they are due, and old ones go only once the new one is there."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from ofakit.errors import UsageError
from ofakit.hooks.snapshot import SnapshotHook


class Trainer:
    """What the hook asks of a trainer of two epochs of four steps."""

    def __init__(self, folder, is_main=True, evaluates=False, unfit=()):
        self.folder = folder / "checkpoints"
        self.processes = SimpleNamespace(is_main=is_main)
        self.epoch = self.iter = 0
        self.max_iters = 8
        self.is_evaluated_after_epochs = evaluates
        self.unfit = set(unfit)
        self.saved = []

    @property
    def ends_the_epoch(self):
        return self.iter % 4 == 3

    @property
    def is_over_after_this_epoch(self):
        return self.epoch == 1

    def save_snapshot(self, epoch_is_over, then):
        # When the end of an epoch is told, `iter` has moved on already.
        step = self.iter if epoch_is_over else self.iter + 1
        if step in self.unfit:
            return None
        self.saved.append((step, epoch_is_over))
        folder = self.folder / f"step_{step}"
        folder.mkdir(parents=True, exist_ok=True)
        if self.processes.is_main:
            then(folder)
        return folder

    def train(self, hook):
        for self.epoch in range(2):
            for _ in range(4):
                hook.after_train_iter(self)
                self.iter += 1
            hook.after_train_epoch(self)
        return self.saved

    def kept(self):
        return sorted(path.name for path in self.folder.iterdir()) if self.folder.exists() else []


@pytest.mark.parametrize(
    ("keys", "saved"),
    [
        ({}, [(4, True), (8, True)]),
        ({"interval": 2}, [(8, True)]),
        ({"interval": 0}, [(8, True)]),
        ({"interval": 3, "save_last": False}, []),
        ({"save_strategy": "by_step", "interval": 3}, [(3, False), (6, False), (8, True)]),
        ({"save_strategy": "by_step", "interval": 3, "save_last": False}, [(3, False), (6, False)]),
        ({"by_epoch": False, "interval": 6, "save_last": False}, [(6, False)]),
        ({"by_epoch": True, "save_strategy": "by_step"}, [(4, True), (8, True)]),
        ({"save_strategy": "no"}, []),
    ],
)
def test_a_snapshot_is_saved_when_it_is_due(tmp_path, keys, saved):
    assert Trainer(tmp_path).train(SnapshotHook(**keys)) == saved


@pytest.mark.parametrize(
    ("keys", "saved"),
    [
        ({}, [(4, False), (4, True), (8, False), (8, True)]),
        ({"interval": 2}, [(8, False), (8, True)]),
        ({"save_strategy": "by_step", "interval": 3}, [(3, False), (6, False), (8, False), (8, True)]),
        ({"save_strategy": "by_step", "interval": 4, "save_last": False}, [(4, False), (8, False)]),
        ({"save_strategy": "no"}, []),
    ],
)
def test_a_snapshot_comes_before_an_evaluation_that_may_fail(tmp_path, keys, saved):
    assert Trainer(tmp_path, evaluates=True).train(SnapshotHook(**keys)) == saved


@pytest.mark.parametrize(
    ("keys", "saved"),
    [
        ({"save_strategy": "by_step", "interval": 3}, [(5, False), (6, False), (8, True)]),
        ({}, [(5, False), (8, True)]),
        ({"save_strategy": "no"}, []),
    ],
)
def test_one_that_could_not_be_written_follows_as_soon_as_it_can(tmp_path, keys, saved):
    assert Trainer(tmp_path, unfit=(3, 4)).train(SnapshotHook(**keys)) == saved


@pytest.mark.parametrize(
    ("most", "kept"),
    [(1, [8]), (2, [6, 8]), (3, [4, 6, 8]), (None, [2, 4, 6, 8]), (0, [8])],
)
def test_the_newest_are_kept(tmp_path, most, kept):
    trainer = Trainer(tmp_path)
    trainer.train(SnapshotHook("by_step", 2, max_checkpoint_num=most))
    assert trainer.kept() == [f"step_{step}" for step in kept]


def test_numbers_are_compared_as_numbers(tmp_path):
    trainer = Trainer(tmp_path)
    for step in (9, 10):
        (trainer.folder / f"step_{step}").mkdir(parents=True)
    trainer.iter = 10
    SnapshotHook("by_step", 11).after_train_iter(trainer)
    assert trainer.kept() == ["step_10", "step_11"]


def test_the_one_just_saved_stays_where_a_run_went_back_behind_others(tmp_path):
    trainer = Trainer(tmp_path)
    for step in (6, 8):
        (trainer.folder / f"step_{step}").mkdir(parents=True)
    SnapshotHook("by_step", 1, max_checkpoint_num=2).after_train_iter(trainer)
    assert "step_1" in trainer.kept()


def test_folders_of_the_user_are_left_alone(tmp_path):
    trainer = Trainer(tmp_path)
    for name in ("step_1_copy", "step_best"):
        (trainer.folder / name).mkdir(parents=True)
    trainer.train(SnapshotHook("by_step", 2, max_checkpoint_num=1))
    assert trainer.kept() == ["step_1_copy", "step_8", "step_best"]


def test_only_the_main_process_deletes(tmp_path):
    trainer = Trainer(tmp_path, is_main=False)
    trainer.train(SnapshotHook("by_step", 2, max_checkpoint_num=1))
    assert len(trainer.kept()) == 4


def test_what_makes_no_sense_is_refused():
    with pytest.raises(UsageError, match="save_strategy must be by_epoch, by_step or no, found 'by_steps'"):
        SnapshotHook("by_steps")
    with pytest.raises(UsageError, match="at least 1, or 0 for none, found -1"):
        SnapshotHook(interval=-1)
