"""Commands run as processes on this machine, as many at once as its cores and GPUs allow."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ofakit.errors import UsageError
from ofakit.sweeps.launcher import usable_cores
from ofakit.sweeps.run_process import RunFailed, RunProcess

__all__ = ["places", "run_local_tasks"]

LOOK_EVERY = 0.1  # seconds


def run_local_tasks(
    commands: Sequence[Sequence[str]], logs: Sequence[Path], cpus: int, gpus: float
) -> Iterator[tuple[int, dict[str, Any] | str]]:
    """Run commands. They end with this process, however it ends.

    Args:
        commands: Arguments of `python`.
        logs: A folder for the `stdout.log` and `stderr.log` of each.
        cpus: Cores of each; also its OMP_NUM_THREADS, unless that is set.
        gpus: GPUs of each. With 0 it sees none.

    Yields:
        As each ends, its number and the JSON object it printed last, or why it failed.

    Raises:
        UsageError: This machine has fewer cores or GPUs than a command takes.
    """
    free = places(cpus, gpus, usable_cores(), _devices() if gpus else [])
    waiting, running = list(range(len(commands))), dict[int, tuple[RunProcess, str]]()
    try:
        while waiting or running:
            while waiting and free:
                number, place = waiting.pop(0), free.pop(0)
                environment = {"OMP_NUM_THREADS": str(cpus), **os.environ, "CUDA_VISIBLE_DEVICES": place}
                command = [sys.executable, *commands[number]]
                running[number] = RunProcess(logs[number], command, environment), place
            for number in [number for number, (process, _) in running.items() if not process.is_running()]:
                process, place = running.pop(number)
                free.append(place)
                yield number, _outcome(process)
            time.sleep(LOOK_EVERY)
    finally:
        for process, _ in running.values():
            process.terminate()


def places(cpus: int, gpus: float, cores: int, devices: Sequence[str]) -> list[str]:
    """Where commands can run at once: for each of them, what CUDA_VISIBLE_DEVICES shall be.

    Args:
        cpus: Cores of each.
        gpus: GPUs of each: none, a part of one, or a whole number.
        cores: Of this machine.
        devices: Names of its GPUs.

    Raises:
        UsageError: There are too few for even one.

    >>> places(2, 0, 8, ["0", "1"]), places(1, 2, 8, ["0", "1", "2", "3"]), places(1, 0.5, 8, ["0"])
    (['', '', '', ''], ['0,1', '2,3'], ['0', '0'])
    """
    room = cores // cpus
    if gpus == 0:
        found = [""] * room
    elif gpus < 1:
        found = [device for _ in range(int(1 / gpus + 1e-9)) for device in devices]
    else:
        starts = range(0, len(devices) - int(gpus) + 1, int(gpus))
        found = [",".join(devices[start : start + int(gpus)]) for start in starts]
    if not found[:room]:
        raise UsageError(
            f"a shard needs {cpus:g} cores and {gpus:g} GPUs, but this machine has only {cores} cores and "
            f"{len(devices)} GPUs: lower --shard-cpus or --shard-gpus"
        )
    return found[:room]


def _devices() -> list[str]:
    """The GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them."""
    import torch

    number = torch.cuda.device_count()
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    return [str(place) for place in range(number)] if named is None else named.split(",")[:number]


def _outcome(process: RunProcess) -> dict[str, Any] | str:
    """What a process that has ended printed last, or why it failed."""
    try:
        return process.result()
    except RunFailed as error:
        return str(error)
