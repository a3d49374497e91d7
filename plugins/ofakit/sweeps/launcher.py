"""Start a run as a process, and say how it ended."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from ofakit.errors import UsageError
from ofakit.sweeps.evaluations import EvaluationReader
from ofakit.sweeps.folder import SweepFolder
from ofakit.sweeps.load_sweep import settings
from ofakit.sweeps.record import Record
from ofakit.sweeps.run_process import RunFailed, RunProcess
from ofakit.sweeps.sweep_config import SweepConfig

__all__ = ["Launcher", "say", "usable_cores"]


class Launcher:
    """Knows how to start the runs of a sweep.

    Args:
        config: The sweep's file.
        folder: Its directory.
        command: Program and first arguments of a run; "python" means the interpreter that runs the sweep.
        directory: The working directory of runs; None means this process's.
    """

    def __init__(
        self, config: SweepConfig, folder: SweepFolder, command: Sequence[str], directory: Path | None = None
    ) -> None:
        self.config, self.folder, self.command, self.directory = config, folder, list(command), directory

    def launch(self, number: int, parameters: dict[str, Any], resume: bool, slot: int, *more: str) -> RunProcess:
        """Start a run, or let it go on.

        Args:
            number: The run's number.
            parameters: Its own keys.
            resume: Whether it was started before.
            slot: Its place among the runs that go on at once, from 0.
            *more: Further arguments of the command.

        Returns:
            The running process.
        """
        folder = self.folder.run(number)
        # Runs are compared on validation data; a command of the sweep's own knows no such key.
        chosen_on = [] if self.config.command else ['evaluation.final_split="val"']
        texts = [*chosen_on, *settings(self.config, parameters), f"work_dir={folder}"]
        program = sys.executable if self.command[0] == "python" else self.command[0]
        command = [program, *self.command[1:], "--conf", self.config.base]
        command += [part for text in texts for part in ("--set", text)]
        command += [*(["--resume"] if resume else []), *more]
        say(f"run {number} {'continues' if resume else 'starts'}: {parameters}")
        return RunProcess(folder, command, self.environment(slot), self.directory)

    def reader(self, number: int) -> EvaluationReader:
        """What a run reports while it trains.

        Args:
            number: The run's number.
        """
        return EvaluationReader(self.folder.run(number), self.config.watched)

    def conclude(
        self, number: int, parameters: dict[str, Any], process: RunProcess, evaluations: EvaluationReader, pruned: bool
    ) -> Record:
        """What is known of a run whose process has ended.

        Args:
            number: The run's number.
            parameters: Its own keys.
            process: The run's process.
            evaluations: The run's evaluations.
            pruned: Whether it was ended because it was hopeless.
        """
        ended = partial(
            Record,
            number=number,
            parameters=parameters,
            work_dir=str(process.folder),
            seconds=process.seconds,
            evaluations=evaluations.all(),
        )
        if pruned:
            return ended(status="pruned").scored_by(self.config.metric)
        try:
            return ended(status="done", result=process.result()).scored_by(self.config.metric)
        except (RunFailed, UsageError) as error:
            return ended(status="failed", error=str(error))

    def environment(self, slot: int) -> dict[str, str]:
        """The environment of a run: its share of the threads, and its device.

        Args:
            slot: Its place among the runs that go on at once, from 0.
        """
        environment = dict(os.environ)
        if self.config.threads is not None:
            environment["OMP_NUM_THREADS"] = str(self.config.threads)
        elif self.config.parallel > 1:
            said = os.environ.get("OMP_NUM_THREADS", "")
            available = int(said) if said.isdigit() else usable_cores()
            environment["OMP_NUM_THREADS"] = str(max(1, available // self.config.parallel))
        if self.config.devices is not None:
            environment["CUDA_VISIBLE_DEVICES"] = self.config.devices[slot % len(self.config.devices)]
        return environment


def usable_cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def say(text: str) -> None:
    """Tell the user how the sweep is going.

    Args:
        text: One line.
    """
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)
