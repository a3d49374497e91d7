"""metrics.jsonl is JSON whatever a step gives, and its means are those of the steps that counted."""

from __future__ import annotations

import json
import logging
import math
from types import SimpleNamespace

import pytest
from ofakit.hooks.metrics_file import MetricsFileHook
from ofakit.processes import Processes

BAD = {"loss": math.nan, "grad_norm": math.inf, "lr": 1.0}


def running(tmp_path, **state):
    """What the hook asks of a trainer."""
    return SimpleNamespace(
        work_dir=str(tmp_path), processes=Processes(0, 1, "cpu"), logger=logging.getLogger("test"), epoch=0,
        max_epochs=1, max_iters=9, examples_in_step=8, **{"iter": 0, "evaluations": 0, **state},
    )  # fmt: skip


def lines_of(tmp_path, steps, interval):
    """The lines of steps given as (numbers, whether the step was skipped)."""
    trainer = running(tmp_path)
    hook = MetricsFileHook(interval)
    hook.before_run(trainer)
    for trainer.iter, (trainer.step_logs, trainer.step_is_skipped) in enumerate(steps):
        hook.after_train_iter(trainer)

    def refuse(constant):
        raise AssertionError(f"{constant} is no JSON")

    text = (tmp_path / "metrics.jsonl").read_text()
    return [json.loads(line, parse_constant=refuse) for line in text.splitlines()]


@pytest.mark.parametrize(
    "steps, loss, bad_steps",
    [
        ([(BAD, True), ({"loss": 2.0, "grad_norm": 1.0, "lr": 1.0}, False)], 2.0, 1),
        ([({"loss": 2.0}, False), ({"loss": 4.0}, False)], 3.0, 0),
        ([(BAD, True), (BAD, True)], None, 2),
        ([({"loss": math.nan}, False), ({"loss": 4.0}, False)], None, 0),
    ],
)
def test_skipped_steps_are_counted_and_leave_the_means_alone(tmp_path, steps, loss, bad_steps):
    [line] = lines_of(tmp_path, steps, interval=2)
    assert line["loss"] == loss and line["bad_steps"] == bad_steps


def test_the_interval_after_a_bad_one_counts_anew(tmp_path):
    lines = lines_of(tmp_path, [(BAD, True), ({"loss": 2.0}, False)], interval=1)
    assert [(line["loss"], line["bad_steps"]) for line in lines] == [(None, 1), (2.0, 0)]


@pytest.mark.parametrize("evaluations, kept", [(1, 2), (2, 3)])
def test_steps_and_evaluations_after_the_snapshot_are_taken_out(tmp_path, evaluations, kept):
    rows = [{"step": 2, "evaluation/cider": 0.1}, {"step": 3, "loss": 1.0}, {"step": 3, "evaluation/cider": 0.1}]
    rows += [{"step": 4, "loss": 1.0}]
    text = "".join(json.dumps(row) + "\n" for row in rows) + '{"step": 5, "lo'
    (tmp_path / "metrics.jsonl").write_text(text)
    MetricsFileHook().before_run(running(tmp_path, iter=3, evaluations=evaluations))
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == rows[:kept]
