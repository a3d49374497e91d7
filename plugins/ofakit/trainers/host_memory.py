"""Keep the memory that a step frees for the next one, instead of handing it back to the system."""

from __future__ import annotations

import ctypes
import sys

__all__ = ["keep_freed_memory"]

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
"""Options of glibc's mallopt(3), as malloc.h numbers them."""


def keep_freed_memory() -> bool:
    """Let the C library of this process reuse freed memory.

    By default glibc takes every large block from the system and gives it back when it is freed; a training step on a
    CPU then spends a tenth of its time on pages that the system clears for it, the same ones every step. The process
    keeps its peak from here on.

    Returns:
        Whether the C library is one that can be told so; others are left as they are.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        tell = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    return bool(tell(M_MMAP_MAX, 0) and tell(M_TRIM_THRESHOLD, -1))
