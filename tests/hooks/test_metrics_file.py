"""metrics.jsonl is JSON whatever a step gives, and its means are those of the steps that counted."""

from __future__ import annotations

import json
import logging
import math
from types import SimpleNamespace

import pytest
from ofakit.files import SaveError
from ofakit.hooks.metrics_file import MetricsFileHook
from ofakit.processes import Processes

from tests.file_limit import file_limit

BAD = {"loss": math.nan, "grad_norm": math.inf, "lr": 1.0}


def running(tmp_path, **state):
    """What the hook asks of a trainer."""
    about = {"work_dir": str(tmp_path), "processes": Processes(0, 1, "cpu"), "logger": logging.getLogger("test")}
    about |= {"epoch": 0, "max_epochs": 1, "iter": 0, "max_iters": 9, "examples_in_step": 8, "evaluations": 0}
    return SimpleNamespace(**{**about, **state})


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


def test_a_line_says_step_epoch_and_means_and_only_at_the_end_of_an_interval(tmp_path):
    steps = [({"loss": float(k), "seconds/forward": 0.5}, False) for k in range(1, 6)]
    first, second = lines_of(tmp_path, steps, interval=2)
    assert (first["step"], first["epoch"], first["loss"], first["seconds/forward"]) == (2, 1, 1.5, 0.5)
    assert (second["step"], second["loss"]) == (4, 3.5)
    assert first["images_per_second"] > 0


@pytest.mark.parametrize(("at_the_end", "step"), [(False, 3), (True, 2)])
def test_an_evaluation_is_written_once_with_the_steps_before_it(tmp_path, at_the_end, step):
    trainer = running(tmp_path, iter=2, evaluations=1, metric_values={"cider": 0.5, "rouge_l": math.nan}, epoch=4)
    trainer.step_logs, trainer.step_is_skipped, trainer.epoch_is_over = {"loss": 1.0}, False, at_the_end
    hook = MetricsFileHook(interval=100)
    hook.before_run(running(tmp_path))
    told = hook.after_train_epoch if at_the_end else hook.after_train_iter
    told(trainer)
    told(trainer)
    (line,) = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert json.loads(line) == {"step": step, "epoch": 5, "evaluation/cider": 0.5, "evaluation/rouge_l": None}


def test_the_log_shows_the_numbers_that_are_not_parts_of_others(tmp_path, caplog):
    caplog.set_level(logging.INFO, logger="test")
    lines_of(tmp_path, [({"loss": 2.0, "cross_entropy/loss": 1.0}, False)], interval=1)
    (record,) = caplog.records
    assert record.message.startswith("epoch 1/1  step 1/9  loss 2  images_per_second ")
    assert "cross_entropy" not in record.message


def test_only_the_main_process_writes(tmp_path):
    trainer = running(tmp_path, processes=Processes(1, 2, "cpu"), step_logs={"loss": 1.0}, step_is_skipped=False)
    hook = MetricsFileHook(interval=1)
    hook.before_run(trainer)
    hook.after_train_iter(trainer)
    assert not (tmp_path / "metrics.jsonl").exists()


def test_a_full_disk_is_a_clear_error(tmp_path):
    trainer = running(tmp_path, step_logs={"loss": 1.0}, step_is_skipped=False)
    hook = MetricsFileHook(interval=1)
    hook.before_run(trainer)
    with pytest.raises(SaveError, match="cannot save .*metrics.jsonl: File too large"), file_limit(10):
        hook.after_train_iter(trainer)


def test_lines_that_cannot_be_read_stop_nothing_and_go(tmp_path):
    good = [b'{"step": 1, "loss": 2.0}', b'{"step": 2, "note": "\xe2\x98\x83"}']
    bad = [
        b"\xff\xfe",
        b'{"step": 1, "loss": \xff}',
        b"{",
        b"[1]",
        b'{"step": 1e999}',
        b"[" * 100_000,
        b'{"step": null}',
        b"",
    ]
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b"\n".join([*bad, good[0], *bad, good[1], *bad]))
    MetricsFileHook().before_run(running(tmp_path, iter=5))
    assert path.read_bytes() == b"".join(line + b"\n" for line in good)
