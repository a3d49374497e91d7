"""Runs checks in a separate process, so that one which kills its process is reported and does no harm.

A native library that does not fit the machine (an instruction it does not have, two OpenMP runtimes, a broken driver)
ends Python without an exception. Only another process can report that.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from typing import Any

__all__ = ["run_steps"]


def run_steps(steps: Mapping[str, Callable[[], Any]]) -> tuple[dict[str, Any], str | None]:
    """Take steps one after the other in one forked process, which keeps what they import to itself; in this one on
    systems that fork none.

    Args:
        steps: By name; each returns something picklable and raises nothing. What they print to stdout goes to stderr.

    Returns:
        The results of the steps that were taken. And, where the process ended in one, how: "signal SIGSEGV" or "exit
        code 3"; the step is the first without a result.
    """
    if "fork" not in multiprocessing.get_all_start_methods():  # Windows: whoever is killed there is this process
        return {name: step() for name, step in steps.items()}, None
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_take, args=(steps, sender))
    process.start()
    sender.close()
    results: dict[str, Any] = {}
    try:
        while len(results) < len(steps):
            name, result = receiver.recv()
            results[name] = result
    except EOFError:
        pass
    process.join()
    if len(results) == len(steps):
        return results, None
    code = process.exitcode or 0
    return results, f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


def _take(steps: Mapping[str, Callable[[], Any]], sender: Connection) -> None:
    os.dup2(2, 1)
    for name, step in steps.items():
        sender.send((name, step()))
    sender.close()
