"""How far a training is: one line of the terminal with loss, rate and time left; elsewhere the log's own lines tell it.

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
"""Share of the newest step in the means of loss and seconds."""
SMALLEST_BAR, LARGEST_BAR = 8, 40


def progress_text(
    done: int, total: int, seconds_left: float | None, loss: float | None, seconds: float | None, examples: float,
    width: int, ascii_only: bool = False,
) -> str:  # fmt: skip
    """The line, with as much as has room.

    Args:
        done: Steps that were made.
        total: Steps of the whole run.
        seconds_left: How long it will take; None while nobody can know.
        loss: Its mean over the last steps; None before the first.
        seconds: Likewise, how long a step takes.
        examples: Likewise, how many it sees.
        width: Columns of the terminal.
        ascii_only: Whether to draw with ASCII alone.

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
    """Three digits, without an exponent where there is a way.

    >>> _short(85.123), _short(0.0376), _short(1234.5)
    ('85.1', '0.0376', '1,234')
    """
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


class TrainingProgress:
    """The line of a training; use it around the loop, so that it goes however the loop ends.

    Args:
        trainer: One whose training is prepared. Only its first process shows anything, and only on a terminal.
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
        """Whatever comes from now on belongs to the next step, its wait for data included."""
        self.step_began = time.perf_counter()

    def step_ends(self, trainer: Trainer) -> None:
        """Count a step, before its hooks run.

        Args:
            trainer: Has just made it.
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
            done: Steps that were made, those before a resume included.
            width: Columns of the terminal.
            ascii_only: Whether to draw with ASCII alone.
        """
        made = done - self.first
        elapsed = time.perf_counter() - self.began
        left = elapsed / made * (self.total - done) if made else None  # evaluations in between are in it
        return progress_text(done, self.total, left, self.loss, self.seconds, self.examples, width, ascii_only)


def _mean(before: float | None, value: float) -> float:
    """A mean in which older values count less and less."""
    return value if before is None else before + SMOOTHING * (value - before)


class _Line(ProgressLine):
    """Draws what a `TrainingProgress` says."""

    def __init__(self, progress: TrainingProgress) -> None:
        self.progress = progress
        super().__init__(total=progress.total, initial=progress.first)

    def __str__(self) -> str:
        about = self.format_dict
        return self.progress.text(about["n"], about["ncols"] or 80, about["ascii"] is True)
