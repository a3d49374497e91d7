"""What hooks see of a run: how far it is, and that a resumed one goes on from there."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
from modelscope.trainers.hooks.hook import Hook
from ofakit.config import parse_config
from ofakit.trainers import hooked_trainer
from ofakit.trainers.hooked_trainer import HookedTrainer

from tests.two_processes import ONE


class Remembering(Hook):
    def __init__(self, memory=None):
        self.memory = memory

    def state_dict(self):
        return {"memory": self.memory}

    def load_state_dict(self, state):
        self.memory = state["memory"]


class Other(Remembering):
    pass


class Run(HookedTrainer):
    """A run of two epochs of three steps that trains nothing."""

    def __init__(self, hooks=(), **train):
        reader = {"reader": {"type": "given"}}
        self.experiment = parse_config({"work_dir": "run", "data": reader, "train": {"max_epochs": 2, **train}})
        self.processes, self.loading, self.started = ONE, SimpleNamespace(steps_per_epoch=3), 0.0
        self._set_base_attributes(None)
        self._hooks = list(hooks)

    def at(self, epoch, step, inner):
        self._epoch, self._iter, self._inner_iter = epoch, step, inner
        return self


def place(state):
    return state["epoch"], state["iter"], state["inner_iter"]


def test_a_run_begins_at_its_beginning():
    run = Run()
    assert (run.epoch, run.iter, run.inner_iter, run.evaluations, run.metric_values) == (0, 0, 0, 0, None)
    assert (run.iters_per_epoch, run.max_iters, run.max_epochs) == (3, 6, 2)
    assert run.cfg.train.work_dir == run.work_dir == "run" and run.args is None


@pytest.mark.parametrize(("max_steps", "steps"), [(None, 6), (4, 4), (99, 6)])
def test_steps_of_the_run_are_those_of_its_epochs_or_fewer(max_steps, steps):
    assert Run(max_steps=max_steps).max_iters == steps


@pytest.mark.parametrize(
    ("epoch", "step", "stopped", "over"),
    [(0, 3, False, False), (1, 3, False, True), (0, 3, True, True), (0, 6, False, True)],
)
def test_the_last_epoch_is_known(epoch, step, stopped, over):
    run = Run().at(epoch, step, 3)
    run._stop_training = stopped
    assert run.is_over_after_this_epoch is over


def test_seconds_before_a_resume_count(monkeypatch):
    monkeypatch.setattr(hooked_trainer.time, "perf_counter", lambda: 12.5)
    run = Run()
    run.seconds_before = 30.0
    assert run.seconds == 42.5


def test_within_the_loop_the_step_that_was_just_made_is_counted():
    assert place(Run().at(0, 1, 1).counters(epoch_is_over=False)) == (0, 2, 2)
    assert place(Run().at(0, 2, 2).counters(epoch_is_over=False)) == (0, 3, 3)


def test_behind_the_loop_the_next_epoch_begins_unless_this_one_was_cut_short():
    assert place(Run().at(0, 3, 3).counters(epoch_is_over=True)) == (1, 3, 0)
    assert place(Run(max_steps=2).at(0, 2, 2).counters(epoch_is_over=True)) == (0, 2, 2)


def test_a_resumed_run_knows_what_the_run_knew():
    run = Run().at(1, 4, 1)
    run.evaluations, run._metric_values, run.seconds_before = 2, {"cider": 0.5}, 30.0
    state = json.loads(json.dumps(run.counters(epoch_is_over=False)))
    resumed = Run()
    resumed.set_counters(state)
    assert (resumed.epoch, resumed.iter, resumed.inner_iter) == (1, 5, 2)
    assert (resumed.evaluations, resumed.metric_values) == (2, {"cider": 0.5})
    assert resumed.seconds_before == state["seconds"] > 30 and not resumed._stop_training


@pytest.mark.parametrize(
    ("max_steps", "stopped", "epoch_is_over", "goes_on"),
    [
        (None, False, False, True),  # killed
        (None, True, True, False),  # a hook stopped it
        (2, False, True, False),  # it was at its end
        (2, False, False, True),  # the epoch's last hooks were still to come
    ],
)
def test_a_run_that_was_over_stays_over(max_steps, stopped, epoch_is_over, goes_on):
    run = Run(max_steps=max_steps).at(0, 2 if epoch_is_over else 1, 2 if epoch_is_over else 1)
    run._stop_training = stopped
    resumed = Run(max_steps=max_steps)
    resumed.set_counters(run.counters(epoch_is_over))
    assert resumed._stop_training is not goes_on


def test_hooks_remember_by_their_type_whatever_their_order():
    state = Run([Remembering(1), Other(2), Remembering(3)]).counters(epoch_is_over=False)
    hooks = [Other("none"), Remembering(), Remembering(), Remembering("more")]
    Run(hooks).set_counters(json.loads(json.dumps(state)))
    assert [hook.memory for hook in hooks] == [2, 1, 3, "more"]
