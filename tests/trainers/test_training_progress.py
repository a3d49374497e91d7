"""The line of a training has room for what matters most, and is as wide as the terminal at most."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from ofakit.processes import Processes
from ofakit.trainers import training_progress
from ofakit.trainers.training_progress import TrainingProgress, progress_text


@pytest.mark.parametrize("total", [40, 400, 1_000_000])
@pytest.mark.parametrize("width", [10, 20, 40, 60, 80, 120, 200])
def test_no_line_is_wider_than_the_terminal(total, width):
    line = progress_text(30, total, 1e5, 1.234567, 0.1234567, 32, width)
    assert len(line) < width or width == 10 and len(line) <= width


def test_the_wider_the_more_it_says():
    narrow, usual, wide = (progress_text(30, 400, 103, 1.234, 0.376, 32, width) for width in (30, 60, 100))
    assert narrow == "step 30/400 8%  1:43 left"
    assert usual == "step 30/400 8%  loss 1.23  85.1 examples/s  1:43 left"
    assert "0.376 s/step" in wide and "█" in wide and "█" not in progress_text(30, 400, 1, 1, 1, 1, 100, True)
    assert progress_text(0, 400, None, None, None, 0, 16) == "step 0/400 0%"


@pytest.mark.parametrize("rank", [0, 1])
def test_of_several_processes_the_first_shows_a_line(monkeypatch, rank):
    monkeypatch.setattr(training_progress, "on_terminal", lambda: True)
    monkeypatch.setattr(training_progress, "_Line", lambda progress: SimpleNamespace(close=list))
    trainer = SimpleNamespace(processes=Processes(rank, 2, "cpu"), iter=0, max_iters=9)
    with TrainingProgress(trainer) as progress:
        assert (progress.line is not None) is (rank == 0)


def test_what_hooks_take_counts_for_the_time_left_and_not_for_the_rate(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(training_progress.time, "perf_counter", lambda: now[0])
    trainer = SimpleNamespace(
        processes=Processes(0, 1, "cpu"), iter=10, max_iters=20, examples_in_step=8, step_is_skipped=False,
        step_logs={"loss": 2.0},
    )  # fmt: skip
    with TrainingProgress(trainer) as progress:
        for trainer.iter in range(10, 15):
            progress.step_begins()
            now[0] += 2
            trainer.step_is_skipped = trainer.iter == 14
            trainer.step_logs = {"loss": float("nan") if trainer.step_is_skipped else 2.0}
            progress.step_ends(trainer)
            now[0] += 4  # an evaluation
    assert progress.text(15, 120, True).split("  ")[-4:] == ["loss 2", "4 examples/s", "2 s/step", "0:30 left"]
