"""A run that is asked to stop, by a signal or because its time is up, writes a snapshot at the end of its step.

    {"train": {"time_limit": 230}}

A scheduler sends SIGTERM, a person Ctrl-C; Slurm can be told to send SIGUSR1 before the end
(`#SBATCH --signal=USR1@120`), and Windows has SIGBREAK in place of SIGTERM. A second signal ends the process at once.
Under torchrun and Slurm, which pass on signals that their processes may already have received, a signal that follows
within seconds counts as the same.
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any

from ofakit.errors import RunStopped
from ofakit.platforms import signals
from ofakit.trainers.resumable import ResumableTrainer
from ofakit.trainers.state import random_state, restore_random_state

__all__ = ["StopRequest", "StoppableTrainer", "seconds_left_in_slurm"]

EXIT_CODES = {number: 143 for number in signals(("SIGTERM", "SIGUSR1", "SIGBREAK"))} | {signal.SIGINT: 130}
OUT_OF_TIME = 143
LAUNCHERS = ("TORCHELASTIC_RUN_ID", "SLURM_JOB_ID")
ECHO = 3.0
"""Seconds for which a second signal counts as the first, under a launcher that passes on what its processes receive."""
SLURM_MARGIN = 60.0
"""Seconds that a job has to end before Slurm ends it."""


class StopRequest:
    """Watches for signals and the clock while a run trains.

    Args:
        seconds: Seconds from `started` by which the run must have ended; None: no limit.
        started: When the run began, by `time.perf_counter`.
    """

    def __init__(self, seconds: float | None, started: float) -> None:
        self.ends = None if seconds is None else started + seconds
        self.reason: str | None = None
        self.exit_code = 0
        self.is_interruptible = False
        self._before: dict[int, Any] = {}
        self._process = os.getpid()
        self._heard_at = 0.0
        self._echo = ECHO if any(name in os.environ for name in LAUNCHERS) else 0.0

    def __enter__(self) -> StopRequest:
        """Handle signals, if this is the main thread: no other thread may."""
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._heard) for number in EXIT_CODES}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Restore the previous handlers of the signals."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}

    def _heard(self, number: int, frame: FrameType | None) -> None:
        """Record a signal; end at once on a second one, or if there is nothing to finish.

        Forked loading processes also receive what a terminal or Slurm sends to all processes, and must continue until
        the step is done; the SIGTERM that finally ends them is their second signal.
        """
        if self.reason is not None and time.monotonic() - self._heard_at < self._echo:
            return
        if self.reason is not None and (os.getpid() == self._process or number == signal.SIGTERM):
            os._exit(EXIT_CODES[signal.Signals(number)])
        self._heard_at = time.monotonic()
        self.reason, self.exit_code = signal.Signals(number).name, EXIT_CODES[signal.Signals(number)]
        if self.is_interruptible and os.getpid() == self._process:
            self.stop_here()

    def look_at_the_clock(self, seconds_needed: float) -> None:
        """Request a stop if another step might not end in time.

        Args:
            seconds_needed: Seconds for a step and a snapshot.
        """
        if self.reason is None and self.ends is not None and time.perf_counter() + seconds_needed >= self.ends:
            self.reason, self.exit_code = "the time limit", OUT_OF_TIME

    def stop_here(self) -> None:
        """Stop an evaluation if the run was asked to stop.

        Raises:
            RunStopped: The run was asked to stop.
        """
        if self.reason is not None:
            raise self.stopped("in an evaluation, which will be repeated")

    def stopped(self, where: str) -> RunStopped:
        """The exception that the run ends with.

        Args:
            where: Where it stopped, such as "after step 12".
        """
        reason = self.reason or "another process"
        code = self.exit_code or OUT_OF_TIME
        return RunStopped(f"stopped by {reason} {where}; continue with the same command and --resume auto", code)


class StoppableTrainer(ResumableTrainer):
    """A trainer that finishes its step and stops when it is asked to."""

    def _seconds_allowed(self) -> float | None:
        """Seconds after the start by which the run must have ended; None: no limit."""
        minutes = self.experiment.train.time_limit
        if minutes is not None:
            return 60 * minutes
        left = seconds_left_in_slurm(os.environ)
        return None if left is None else time.perf_counter() - self.started + left

    def _stop_if_asked(self) -> None:
        """Write a snapshot and end the run if one of its processes was asked to stop, or its time is up.

        Raises:
            RunStopped: The run ends.
        """
        now = time.perf_counter()
        self.longest_step = max(self.longest_step, now - self.step_began)
        self.writer.look()
        self.longest_save = max(self.longest_save, self.writer.longest)
        self.stop_request.look_at_the_clock(2 * self.longest_step + self.longest_save)
        self.step_began = time.perf_counter()
        if self.agree(self.stop_request.reason is not None):
            if self.saved_step != self._iter + 1:
                self.save_snapshot(epoch_is_over=False)
            self.finish_snapshots()
            raise self.stop_request.stopped(f"after step {self._iter + 1}")

    @contextmanager
    def _stoppable(self) -> Iterator[None]:
        """If an evaluation after an epoch is stopped, return to the end of the last step and write a snapshot."""
        chance = random_state()
        try:
            yield
        except RunStopped:
            restore_random_state(chance)
            if self.saved_step != self._iter:
                self._iter, self._inner_iter = self._iter - 1, self._inner_iter - 1
                self.save_snapshot(epoch_is_over=False)
            self.finish_snapshots()
            raise

    @contextmanager
    def _interruptible(self) -> Iterator[None]:
        """Let a signal end an evaluation after an epoch at once, as it may take long and changes nothing.

        Several processes would stop at different places, so they complete it first.
        """
        request = self.stop_request
        if request is None or not self.epoch_is_over or self.processes.world_size > 1:
            yield
            return
        request.is_interruptible = True
        try:
            request.stop_here()
            yield
        finally:
            request.is_interruptible = False


def seconds_left_in_slurm(environment: Mapping[str, str]) -> float | None:
    """How long the Slurm job of this process may still run, less a margin for ending; None outside Slurm.

    Args:
        environment: The environment variables.
    """
    job, ends = environment.get("SLURM_JOB_ID"), environment.get("SLURM_JOB_END_TIME", "")
    if job is None:
        return None
    if ends.isdecimal():
        return int(ends) - time.time() - SLURM_MARGIN
    try:
        command = ["squeue", "--noheader", "--jobs", job, "--format", "%L"]
        left = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=10, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    seconds = _seconds(left.strip())
    return None if seconds is None else seconds - SLURM_MARGIN


def _seconds(text: str) -> float | None:
    """The seconds of Slurm's `days-hours:minutes:seconds`; None for anything else, such as UNLIMITED.

    >>> _seconds("1-02:03:04"), _seconds("12:30"), _seconds("UNLIMITED")
    (93784.0, 750.0, None)
    """
    days, _, clock = text.rpartition("-")
    parts = clock.split(":")
    if not (all(part.isdecimal() for part in parts) and (days.isdecimal() or not days)):
        return None
    seconds = 0
    for part in parts:
        seconds = 60 * seconds + int(part)
    return float(seconds + 86400 * int(days or 0))
