"""Ray, on this machine or a cluster, for as long as some work takes: https://docs.ray.io.

with ray_session("--engine ray", cpus=4) as ray:
    ray.get(ray.remote(work).remote())
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import Any

from ofakit.errors import UsageError

__all__ = ["ray_session"]


@contextlib.contextmanager
def ray_session(argument: str, address: str | None = None, cpus: int | None = None) -> Iterator[Any]:
    """Start Ray, or join a cluster, for the block; one that this process has started already is used and left running.

    What is printed in the block goes to stderr: stdout is for the result of a tool, and Ray prints there.

    Args:
        argument: What needs Ray, such as "--engine ray", for the message.
        address: Of a cluster. None: that of $RAY_ADDRESS, or else a Ray of this machine alone.
        cpus: Cores of a Ray of this machine alone; None for all.

    Yields:
        The package `ray`.

    Raises:
        UsageError: Ray is not installed, or no cluster responds.
    """
    ray = _import_ray(argument)
    with contextlib.redirect_stdout(sys.stderr):
        if ray.is_initialized():
            yield ray
            return
        _start(ray, address or os.environ.get("RAY_ADDRESS") or "local", cpus)
        try:
            yield ray
        finally:
            ray.shutdown()


def _start(ray: Any, address: str, cpus: int | None) -> None:
    """Start or join."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    own = {"include_dashboard": False, "num_cpus": cpus} if address == "local" else {}
    try:
        ray.init(address=address, log_to_driver=False, logging_level="ERROR", **own)
    except ConnectionError as error:
        raise UsageError(f"no Ray cluster responds at {address}: {error}") from error


def _import_ray(argument: str) -> Any:
    """The package."""
    try:
        import ray
    except ImportError as error:
        raise UsageError(f'{argument} needs Ray, which is not installed ({error}): pip install "ofakit[ray]"') from None
    return ray
