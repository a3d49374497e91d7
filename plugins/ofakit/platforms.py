"""What differs between Linux, macOS and Windows: locks, reads and writes at a place, flushing, process groups.

Everything that only some systems have is asked for here, so that the rest of the package imports and works on all of
them. Locks belong to an open file and are gone with the process that holds them, however it ends: `flock` where there
is one, and on Windows a lock of one byte far behind the content, which others can thus read. filelock would do neither
say who holds a lock nor tell of a disk that knows no locks.
"""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]
try:
    import msvcrt
except ImportError:  # everything else
    msvcrt = None  # type: ignore[assignment]

__all__ = ["BINARY", "end_group", "lock", "own_group", "read_at", "reserve", "signals", "sync", "write_at"]

WINDOWS = sys.platform == "win32"
BINARY: int = getattr(os, "O_BINARY", 0)
"""What `os.open` must be told on Windows, which would otherwise translate line ends."""
FAR_BEHIND = 2**30
"""The byte that a lock is of on Windows; no file with such a lock is that long."""
LOOK_EVERY = 0.1  # seconds between two tries of a lock that the system cannot wait for
_moving = threading.Lock()


def lock(descriptor: int, wait: bool = True) -> None:
    """Lock an open file for this process.

    Args:
        descriptor: The file, open for writing; the lock is gone when it is closed.
        wait: Wait for whoever has it.

    Raises:
        OSError: Another has it and `wait` is false (EAGAIN or EACCES), or the disk or the system knows no locks.
    """
    if fcntl is not None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    elif msvcrt is not None:
        _lock_a_byte(descriptor, wait)
    else:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))


def _lock_a_byte(descriptor: int, wait: bool) -> None:
    """The way of Windows, which locks from where the file stands and waits no longer than ten seconds."""
    while True:
        before = os.lseek(descriptor, 0, os.SEEK_CUR)
        try:
            os.lseek(descriptor, FAR_BEHIND, os.SEEK_SET)
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
            return
        except OSError as error:
            if not wait or error.errno not in (errno.EACCES, errno.EAGAIN, errno.EDEADLK):
                raise
        finally:
            os.lseek(descriptor, before, os.SEEK_SET)
        time.sleep(LOOK_EVERY)


def read_at(descriptor: int, count: int, offset: int) -> bytes:
    """Read from a place of an open file; threads may do so at once.

    Args:
        descriptor: The file.
        count: Bytes at most.
        offset: Where they begin.
    """
    if hasattr(os, "pread"):
        return os.pread(descriptor, count, offset)
    with _moving:
        os.lseek(descriptor, offset, os.SEEK_SET)
        return os.read(descriptor, count)


def write_at(descriptor: int, content: bytes | memoryview, offset: int) -> None:
    """Write all bytes to a place of an open file; threads may do so at once.

    Args:
        descriptor: The file.
        content: What to write.
        offset: Where it begins.

    Raises:
        OSError: The disk is full, or refuses otherwise.
    """
    rest = memoryview(content).cast("B")
    while rest:  # one call may write fewer bytes on a nearly full disk
        written = _write_some(descriptor, rest, offset)
        rest, offset = rest[written:], offset + written


def _write_some(descriptor: int, content: memoryview, offset: int) -> int:
    if hasattr(os, "pwrite"):
        return os.pwrite(descriptor, content, offset)
    with _moving:
        os.lseek(descriptor, offset, os.SEEK_SET)
        return os.write(descriptor, content)


def reserve(descriptor: int, length: int) -> None:
    """Make a file as long as that, with real blocks where the system can: a full disk then shows at once.

    Args:
        descriptor: The file, which becomes no shorter.
        length: In bytes.

    Raises:
        OSError: The disk is full.
    """
    start = os.fstat(descriptor).st_size
    if start >= length:
        return
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, start, length - start)
    else:
        os.ftruncate(descriptor, length)


def sync(path: Path) -> None:
    """Flush a file or a folder to disk; Windows keeps folders by itself, and flushes only what may be written.

    Args:
        path: What to flush.

    Raises:
        OSError: The disk refuses.
    """
    if WINDOWS and path.is_dir():
        return
    handle = os.open(path, os.O_RDWR if WINDOWS else os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def signals(names: Sequence[str]) -> list[signal.Signals]:
    """Those of some signals that this system has.

    Args:
        names: Such as "SIGHUP".

    >>> [found.name for found in signals(["SIGINT", "SIGNOTHING"])]
    ['SIGINT']
    """
    return [getattr(signal, name) for name in names if hasattr(signal, name)]


def own_group() -> dict[str, Any]:
    """The arguments of `subprocess.Popen` for a process that `end_group` can end with all that it starts."""
    return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP} if WINDOWS else {"start_new_session": True}  # type: ignore[attr-defined]


def end_group(leader: int, force: bool) -> None:
    """End a process and all that it has started; nothing happens where they are gone.

    Args:
        leader: The number of a process that was started with `own_group`.
        force: End them at once, rather than ask them to.
    """
    with suppress(ProcessLookupError, PermissionError):
        if not WINDOWS:
            os.killpg(leader, signal.SIGKILL if force else signal.SIGTERM)
        elif force:
            subprocess.run(["taskkill", "/PID", str(leader), "/T", "/F"], capture_output=True, check=False)
        else:
            os.kill(leader, signal.CTRL_BREAK_EVENT)  # type: ignore[attr-defined]
