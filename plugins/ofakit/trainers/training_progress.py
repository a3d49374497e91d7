"""The progress of a training: one line on a terminal with loss, rate and time left; elsewhere the log shows it.

step 120/400 30%  ██▍       loss 1.234  85.2 examples/s  0.376 s/step  1:43 left
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from tqdm.std import Bar

from ofakit.progress import ProgressLine, clock_time, on_terminal

if TYPE_CHECKING:
    from ofakit.trainers.trainer import Trainer

__all__ = ["TrainingProgress", "progress_text"]

SMOOTHING = 0.1
"""Weight of the newest step in the means of loss and seconds."""
SMALLEST_BAR, LARGEST_BAR = 8, 40


def progress_text(
    done: int, total: int, seconds_left: float | None, loss: float | None, seconds: float | None, examples: float,
    width: int, ascii_only: bool = False,
) -> str:  # fmt: skip
    """The line, with as much as fits.

    Args:
        done: Steps made so far.
        total: Steps of the whole run.
        seconds_left: The remaining time; None while it is unknown.
        loss: Mean loss over the last steps; None before the first.
        seconds: Likewise, the duration of a step.
        examples: Likewise, the examples of a step.
        width: Columns of the terminal.
        ascii_only: Whether to draw with ASCII only.

    >>> progress_text(120, 400, 103.0, 1.234, 0.376, 32, 60)
    'step 120/400 30%  loss 1.23  85.1 examples/s  1:43 left'
    """
    start = f"step {done:,}/{total:,} {done / max(total, 1):.0%}"
    rate = [] if not seconds else [f"{_short(examples / seconds)} examples/s", f"{_short(seconds)} s/step"]
    shown = [] if loss is None else [f"loss {_short(loss)}"]
    left = [] if seconds_left is None else [f"{clock_time(seconds_left)} left"]
    choices = ([start, *shown, *rate, *left], [start, *shown, *rate[:1], *left], [start, *left], [start])
    parts = next((parts for parts in choices if len("  ".join(parts)) < width), [start[: width - 1]])
    room = width - 1 - len("  ".join(parts)) - 3
    if room >= SMALLEST_BAR:
        parts.insert(1, _bar(done / max(total, 1), min(room, LARGEST_BAR), ascii_only))
    return "  ".join(parts)


def _bar(share: float, room: int, ascii_only: bool) -> str:
    return format(Bar(min(share, 1.0), room, Bar.ASCII if ascii_only else Bar.UTF))


def _short(value: float) -> str:
    """Three digits, without an exponent if possible.

    >>> _short(85.123), _short(0.0376), _short(1234.5)
    ('85.1', '0.0376', '1,234')
    """
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


class TrainingProgress:
    """The line of a training; use it around the loop, so that it disappears however the loop ends.

    Args:
        trainer: A trainer that is ready to train. Only its first process shows the line, and only on a terminal.
    """

    def __init__(self, trainer: Trainer) -> None:
        self.shown = trainer.processes.is_main and on_terminal()
        self.line: _Line | None = None
        self.loss: float | None = None
        self.seconds: float | None = None
        self.examples = 0
        self.first = trainer.iter
        self.total = trainer.max_iters
        self.began = self.step_began = time.perf_counter()

    def __enter__(self) -> TrainingProgress:
        self.began = self.step_began = time.perf_counter()
        if self.shown:
            self.line = _Line(self)
        return self

    def __exit__(self, *error: Any) -> None:
        if self.line is not None:
            self.line.close()

    def step_begins(self) -> None:
        """Start the next step, which includes the wait for its data."""
        self.step_began = time.perf_counter()

    def step_ends(self, trainer: Trainer) -> None:
        """Count a step, before its hooks run.

        Args:
            trainer: The trainer that has just made it.
        """
        seconds = time.perf_counter() - self.step_began
        self.seconds = _mean(self.seconds, seconds)
        self.examples = trainer.examples_in_step
        if not trainer.step_is_skipped:
            self.loss = _mean(self.loss, trainer.step_logs["loss"])
        if self.line is not None:
            self.line.update(trainer.iter + 1 - self.line.n)

    def text(self, done: int, width: int, ascii_only: bool) -> str:
        """The line.

        Args:
            done: Steps made so far, including those before a resume.
            width: Columns of the terminal.
            ascii_only: Whether to draw with ASCII only.
        """
        made = done - self.first
        elapsed = time.perf_counter() - self.began
        left = elapsed / made * (self.total - done) if made else None  # includes evaluations in between
        return progress_text(done, self.total, left, self.loss, self.seconds, self.examples, width, ascii_only)


def _mean(before: float | None, value: float) -> float:
    """A mean in which older values have less and less weight."""
    return value if before is None else before + SMOOTHING * (value - before)


class _Line(ProgressLine):
    """Draws the line of a `TrainingProgress`."""

    def __init__(self, progress: TrainingProgress) -> None:
        self.progress = progress
        super().__init__(total=progress.total, initial=progress.first)

    def __str__(self) -> str:
        about = self.format_dict
        return self.progress.text(about["n"], about["ncols"] or 80, about["ascii"] is True)
