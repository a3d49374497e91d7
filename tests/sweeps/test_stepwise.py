"""A run seen evaluation by evaluation, and one that takes over from another, as population-based training does."""

from __future__ import annotations

import json

import pytest
from ofakit.sweeps.folder import SweepFolder
from ofakit.sweeps.launcher import Launcher
from ofakit.sweeps.load_sweep import load_sweep
from ofakit.sweeps.record import Record
from ofakit.sweeps.stepwise import StepwiseRun

SEARCH = {"type": "pbt", "runs": 2, "max_steps": 6, "interval_steps": 2}


@pytest.fixture
def launcher(write_sweep):
    config = load_sweep(write_sweep(search=SEARCH))
    return Launcher(config, SweepFolder(config), config.command)


def to_the_end(run: StepwiseRun) -> tuple[list[tuple[int, float]], Record]:
    seen = []
    while True:
        result = run.advance()
        if result["done"]:
            return seen, Record.from_line(result["record"])
        seen.append((result["step"], result["score"]))


def test_every_evaluation_is_told_and_then_the_result(launcher):
    seen, record = to_the_end(StepwiseRun(launcher, 0, {"gain": 2.0}))
    assert seen == [(step, 2.0 * step) for step in range(1, 7)]
    assert record.status == "done" and record.result["cider"] == 12.0
    assert list(record.evaluations) == seen


def test_the_newest_snapshot_is_saved_for_others(launcher, tmp_path):
    run = StepwiseRun(launcher, 0, {"gain": 10.0})
    run.save(tmp_path)
    assert json.loads((tmp_path / "about.json").read_text())["step"] is None
    to_the_end(run)
    run.save(tmp_path)
    assert json.loads((tmp_path / "about.json").read_text()) == {"number": 0, "parameters": {"gain": 10.0}, "step": 6}
    assert json.loads((tmp_path / "snapshot" / "state.json").read_text()) == {"step": 6, "level": 60.0}


def test_taking_over_starts_from_the_better_snapshot_for_the_steps_that_are_left(launcher, tmp_path, starts_of):
    step, level = 2, 20.0
    to_the_end(StepwiseRun(launcher, 1, {"gain": 1.0}))
    (tmp_path / "snapshot").mkdir()
    (tmp_path / "snapshot" / "state.json").write_text(json.dumps({"step": step, "level": level}))
    (tmp_path / "about.json").write_text(json.dumps({"number": 0, "parameters": {"gain": 10.0}, "step": step}))

    taken = StepwiseRun(launcher, 1, {"gain": 12.0})
    taken.load(tmp_path)
    seen, record = to_the_end(taken)
    assert seen == [(step + n, level + 12.0 * n) for n in (1, 2, 3, 4)]
    assert record.parameters == {"gain": 12.0}
    assert record.result["cider"] == level + 48.0
    assert [value for _, value in record.evaluations[:6]] == [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
    last = starts_of(1)[-1]
    assert last["checkpoint"].endswith("runs/1/start") and last["given"]["train.max_steps"] == 6 - step

    # After a kill the same run goes on from its own snapshots, with the parameters it took over.
    note = launcher.folder.started()[1]
    assert (note["parameters"], note["offset"]) == ({"gain": 12.0}, step)
    assert note["history"] == [{"step": step, "from": 0, "parameters": {"gain": 12.0}}]
    assert to_the_end(StepwiseRun(launcher, 1, note["parameters"]))[0] == seen
    assert starts_of(1)[-1]["from"] == 6 - step


def test_its_own_snapshot_changes_nothing(launcher, tmp_path):
    run = StepwiseRun(launcher, 0, {"gain": 1.0})
    run.advance()
    run.save(tmp_path)
    run.load(tmp_path)
    assert run.process is not None and run.offset == 0
    run.close()


def test_a_failed_run_ends_with_the_worst_score(launcher):
    run = StepwiseRun(launcher, 0, {"gain": 1.0, "fail": "boom", "fail_at": 1})
    result = run.advance()
    assert (result["done"], result["score"]) == (True, float("-inf"))
    assert Record.from_line(result["record"]).error == "exit code 1: RuntimeError: boom"


def test_a_run_that_ended_earlier_is_told_again_without_a_process(launcher, starts_of):
    run = StepwiseRun(launcher, 0, {"gain": 1.0}, told=[[1, 0.5], [2, 0.75]])
    assert run.advance() == {"step": 1, "score": 0.5, "done": False}
    assert run.advance() == {"step": 2, "score": 0.75, "done": True}
    assert starts_of(0) == []
