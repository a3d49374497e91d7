"""Commands as tasks of Ray, on this machine or a cluster: https://docs.ray.io.

Ray restarts a task that is lost with its machine up to three times.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ofakit.errors import UsageError
from ofakit.sweeps.run_process import RunFailed, RunProcess

__all__ = ["run_command", "run_ray_tasks"]


def run_ray_tasks(
    ray: Any, commands: Sequence[Sequence[str]], logs: Sequence[Path], cpus: int, gpus: float
) -> Iterator[tuple[int, dict[str, Any] | str]]:
    """Run commands, as many at once as there is room for.

    Args:
        ray: The package, started, as `ray_session` gives it.
        commands: Arguments of `python`.
        logs: A folder for the output of each.
        cpus: Cores of each; also its OMP_NUM_THREADS, unless that is set.
        gpus: GPUs of each.

    Yields:
        As each ends, its number and the JSON object it printed last, or why it failed.

    Raises:
        UsageError: No machine has as many cores or GPUs.
    """
    _refuse_too_large(ray, cpus, gpus)
    task = ray.remote(num_cpus=cpus, num_gpus=gpus)(run_command)
    waiting = {
        task.remote(list(command), str(log), os.getcwd(), gpus > 0): number
        for number, (command, log) in enumerate(zip(commands, logs, strict=True))
    }
    while waiting:
        (done,), _ = ray.wait(list(waiting))
        try:
            outcome = ray.get(done)
        except ray.exceptions.RayError as error:
            outcome = f"{type(error).__name__}: {str(error).strip().splitlines()[0]}"
        yield waiting.pop(done), outcome


def _refuse_too_large(ray: Any, cpus: float, gpus: float) -> None:
    """Refuse what no machine has room for: Ray would wait for one for ever."""
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    if not any(node.get("CPU", 0) >= cpus and node.get("GPU", 0) >= gpus for node in nodes):
        found = "; ".join(f"{node.get('CPU', 0):g} cores and {node.get('GPU', 0):g} GPUs" for node in nodes)
        raise UsageError(
            f"a shard needs {cpus} cores and {gpus:g} GPUs, but no machine of the Ray cluster has them; the machines "
            f"are: {found}. Lower "
            "--shard-cpus or --shard-gpus"
        )


def run_command(command: Sequence[str], log: str, directory: str, sees_gpus: bool) -> dict[str, Any] | str:
    """Run a command to its end.

    Args:
        command: Arguments of `python`.
        log: A folder; each machine has one of its own in it for `stdout.log` and `stderr.log`.
        directory: The working directory.
        sees_gpus: Whether the GPUs that Ray gave the task are seen; else none is.

    Returns:
        The JSON object of its last line, or why it failed.
    """
    folder = Path(log) / socket.gethostname()
    environment = {**os.environ, **({} if sees_gpus else {"CUDA_VISIBLE_DEVICES": ""})}
    try:
        return RunProcess(folder, [sys.executable, *command], environment, Path(directory)).result()
    except RunFailed as error:
        return str(error)
