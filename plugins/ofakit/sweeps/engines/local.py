"""Runs on this machine, `parallel` of them at once; the search learns from each as it ends.

tools/sweep.py --conf sweep.json
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from ofakit.errors import OfakitError
from ofakit.sweeps.evaluations import EvaluationReader
from ofakit.sweeps.run_process import RunProcess
from ofakit.sweeps.sweep import Sweep

__all__ = ["run_locally"]

LOOK_EVERY = 0.1  # seconds


@dataclass
class Active:
    """A running run."""

    number: int
    parameters: dict[str, Any]
    process: RunProcess
    evaluations: EvaluationReader
    pruned: bool = False


def run_locally(sweep: Sweep) -> None:
    """Run everything that is left.

    Args:
        sweep: What to do, and where to record it.

    Raises:
        OfakitError: Too many runs failed in a row, or one was ended from outside. The other running ones are ended too,
            and go on next time.
    """
    interrupted, new = sweep.to_do()
    waiting = [*interrupted, *new]
    slots: dict[int, Active | None] = dict.fromkeys(range(sweep.config.parallel))
    try:
        while waiting or any(slots.values()):
            for slot, active in slots.items():
                if active is None and waiting:
                    number = waiting.pop(0)
                    slots[slot] = _start(sweep, number, interrupted.get(number), slot)
                elif active is not None:
                    _watch(sweep, active)
                    if not active.process.is_running():
                        slots[slot] = None
                        _finish(sweep, active)
            time.sleep(LOOK_EVERY)
    finally:
        for active in slots.values():
            if active is not None:
                active.process.terminate()


def _start(sweep: Sweep, number: int, about: dict[str, Any] | None, slot: int) -> Active:
    """Start a run; `about` is what an interrupted one was started with."""
    parameters = sweep.config.search.propose(number) if about is None else about["parameters"]
    if about is None:
        sweep.folder.note_start(number, {"number": number, "parameters": parameters})
    process = sweep.launcher.launch(number, parameters, about is not None, slot)
    return Active(number, parameters, process, sweep.launcher.reader(number))


def _watch(sweep: Sweep, active: Active) -> None:
    """Show the search what a run has evaluated, and end the run if it is hopeless."""
    for step, value in active.evaluations.new():
        hopeless = sweep.config.search.report(active.number, step, value)
        # A process that has just ended on its own has a result, which is worth more.
        if hopeless and active.process.is_running():
            active.pruned = True
            active.process.terminate()
            return


def _finish(sweep: Sweep, active: Active) -> None:
    """Record a run that has ended; the search knows before the next run is chosen."""
    if active.process.was_asked_to_end() and not active.pruned:
        raise OfakitError(f"run {active.number} was ended from outside; start the sweep again to continue it")
    record = sweep.launcher.conclude(
        active.number, active.parameters, active.process, active.evaluations, active.pruned
    )
    sweep.config.search.finish(record)
    sweep.keep(record)
