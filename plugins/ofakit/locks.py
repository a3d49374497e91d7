"""One process at a time in a folder: a lock that is released when its process dies, and that says who holds it.

    with only_one(work_dir, "run", "wait for it, or set another work_dir"):
        …

    with locked(folder / "a.lock"):
        …

On Linux and macOS it is `flock`, which Linux also keeps on the server of an NFS folder; `platforms.py` says what it is
on Windows. A file system that knows no locks is said so, and nothing is locked there. The lock's file is there for as
long as the lock is held.
"""

from __future__ import annotations

import errno
import logging
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from ofakit.errors import UsageError
from ofakit.files import saving
from ofakit.json_text import from_json, to_json
from ofakit.platforms import BINARY, WINDOWS, lock, read_at, write_at

__all__ = ["locked", "only_one"]

log = logging.getLogger(__name__)

LOOK_EVERY = 0.5  # seconds between two tries
TAKEN = (errno.EAGAIN, errno.EACCES)
UNKNOWN = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)


@dataclass
class _Held:
    """A lock of this process: the open file, and how many hold it."""

    handle: int
    holders: int = 1


_held: dict[str, _Held] = {}
_unlocked: set[str] = set()


@contextmanager
def only_one(
    folder: Path, noun: str, cure: str, wait: bool = False, nested: bool = False, file: str | None = None
) -> Iterator[None]:
    """Keep others out of a folder.

    Args:
        folder: Exists.
        noun: What works there, such as "run", for the message.
        cure: What can be done, for the message.
        wait: Wait until the folder is free, rather than refuse.
        nested: Whether this process may hold it already.
        file: The lock's file in that folder; None: after the noun.

    Raises:
        UsageError: Something else works there.
        SaveError: The lock's file cannot be made.
    """
    path = os.path.realpath(folder / (file or f".{noun}.lock"))
    if path in _held:
        if not nested:
            raise UsageError(f"another {noun} is using {folder}, in this same process; {cure}")
        _held[path].holders += 1
    else:
        handle = _acquired(path, f"another {noun} is using {folder}", cure, wait)
        if handle is None:
            yield
            return
        _held[path] = _Held(handle)
    try:
        yield
    finally:
        _release(path)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keep other processes of this machine, and on most network disks those of others, out of a block.

    Args:
        path: The lock's file, which stays; it and its folder are created where they are missing.

    Raises:
        SaveError: It cannot be written.
    """
    with saving(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        file = open(path, "ab")  # noqa: SIM115 (opened again: forked processes share the lock of an open file)
    with file:
        try:
            lock(file.fileno())
        except OSError as error:
            if error.errno not in UNKNOWN:
                raise
            _say_unlocked(str(path), error)
        yield


def _acquired(path: str, taken: str, cure: str, wait: bool) -> int | None:
    """The open, locked file; None if the file system knows no locks."""
    told = False
    while True:
        with saving(Path(path)):
            handle = os.open(path, os.O_RDWR | os.O_CREAT | BINARY, 0o666)
        try:
            with saving(Path(path)):
                got = _try(handle, path)
        except OSError as error:
            os.close(handle)
            if error.errno not in UNKNOWN:
                raise
            _say_unlocked(path, error)
            return None
        if got:
            return handle
        said = f"{taken}: {_holder(handle)}"
        os.close(handle)
        if got is None:
            continue
        if not wait:
            raise UsageError(f"{said}; {cure}")
        if not told:
            log.warning("%s; waiting for it", said)
            told = True
        time.sleep(LOOK_EVERY)


def _try(handle: int, path: str) -> bool | None:
    """Lock an open file, unless another process has it; None if it is no longer the one of that name."""
    try:
        lock(handle, wait=False)
    except OSError as error:
        if error.errno in TAKEN:
            return False
        raise
    with suppress(FileNotFoundError):
        if os.path.samestat(os.fstat(handle), os.stat(path)):
            about = {"host": socket.gethostname(), "pid": os.getpid(), "since": time.strftime("%Y-%m-%d %H:%M:%S")}
            os.ftruncate(handle, 0)
            write_at(handle, to_json(about).encode(), 0)
            return True
    return None


def _holder(handle: int) -> str:
    """Who holds a lock, as its file says."""
    try:
        about = from_json(read_at(handle, 4096, 0))
        return f"process {about['pid']} on {about['host']}, since {about['since']}"
    except (ValueError, KeyError, TypeError):
        return "a process that has just started or is about to exit"


def _release(path: str) -> None:
    """Give the lock back once nothing in this process holds it any more."""
    held = _held.get(path)
    if held is None:  # a forked process, to which the lock does not belong
        return
    held.holders -= 1
    if held.holders == 0:
        del _held[path]
        with suppress(OSError):
            os.unlink(path)
        os.close(held.handle)
        if WINDOWS:  # where a file that is open stays; and does so for whoever has it open by now
            with suppress(OSError):
                os.unlink(path)


def _forget() -> None:
    """What a forked process does first: it would keep the lock of one that is killed."""
    for held in _held.values():
        os.close(held.handle)
    _held.clear()


def _say_unlocked(path: str, error: OSError) -> None:
    """Warn, once for each file, that it is not locked."""
    if path not in _unlocked:
        _unlocked.add(path)
        log.warning("%s cannot be locked (%s): make sure that nothing else uses it", path, error.strerror)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
