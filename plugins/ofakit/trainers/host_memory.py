"""The memory of a CPU: how much is available, and keeping what a step frees for the next one."""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path

__all__ = ["available_memory", "keep_freed_memory"]

CGROUP = Path("/sys/fs/cgroup")
LIMITS = (("memory.max", "memory.current"), ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"))
"""Limit and use of a container's memory, in cgroups of version 2 and 1."""

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
"""Options of glibc's mallopt(3), with their numbers in malloc.h."""


def keep_freed_memory() -> bool:
    """Let the C library of this process reuse freed memory.

    By default glibc takes every large block from the system and returns it when it is freed. A training step on a CPU
    then spends a tenth of its time on pages that the system clears, the same ones in every step. After this call the
    process keeps its peak memory.

    Returns:
        Whether the C library has such options; otherwise nothing is changed.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        tell = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    return bool(tell(M_MMAP_MAX, 0) and tell(M_TRIM_THRESHOLD, -1))


def available_memory(meminfo: Path = Path("/proc/meminfo"), cgroup: Path = CGROUP) -> int | None:
    """Bytes that this process may still use without swapping, within the limit of its container.

    Args:
        meminfo: Linux's file of memory information.
        cgroup: The files of the container's limits.

    Returns:
        None if the system does not report it.
    """
    found = []
    try:
        lines = dict(line.split(":", 1) for line in meminfo.read_text(encoding="utf-8").splitlines())
        found.append(1024 * int(lines["MemAvailable"].split()[0]))
    except (OSError, KeyError, ValueError):
        return None
    for limit, usage in LIMITS:
        try:
            allowed, used = (int((cgroup / name).read_text(encoding="utf-8")) for name in (limit, usage))
        except (OSError, ValueError):  # no such limit, or "max"
            continue
        found.append(max(allowed - used, 0))
    return min(found)
