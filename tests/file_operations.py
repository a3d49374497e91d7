"""The file operations of a command, seen by another process before they happen, which may end it or refuse any.

    run_watched(command, folder, log)                                      all that it does below the folder
    run_watched(command, folder, log, lambda operation: KILL)              killed before the first
    run_watched(command, folder, log, lambda operation: errno.ENOSPC)      on a disk that is full

The system itself tells of them (seccomp's user notification, Linux 5.5 or later), so that those of threads, of other
processes that the command starts, and of libraries in C++ and Rust are among them. No compiler and no tracer is needed.
"""

from __future__ import annotations

import ctypes
import os
import platform
import select
import signal
import socket
import struct
import sys
import time
import traceback
from collections.abc import Callable
from fcntl import ioctl
from pathlib import Path
from typing import NamedTuple

__all__ = ["KILL", "Ended", "Operation", "can_watch", "run_watched"]

KILL = -9
"""Ends the command before an operation."""

X86, ARM = "x86_64", "aarch64"
CALLS: dict[str, tuple[str, dict[str, int]]] = {
    "open": ("open", {X86: 2}), "creat": ("open", {X86: 85}), "openat": ("open", {X86: 257, ARM: 56}),
    "write": ("write", {X86: 1, ARM: 64}), "pwrite64": ("write", {X86: 18, ARM: 68}),
    "writev": ("write", {X86: 20, ARM: 66}), "sendfile": ("write", {X86: 40, ARM: 71}),
    "copy_file_range": ("write", {X86: 326, ARM: 285}), "ftruncate": ("resize", {X86: 77, ARM: 46}),
    "fallocate": ("resize", {X86: 285, ARM: 47}), "fsync": ("fsync", {X86: 74, ARM: 82}),
    "fdatasync": ("fsync", {X86: 75, ARM: 83}), "rename": ("rename", {X86: 82}),
    "renameat": ("rename", {X86: 264, ARM: 38}), "renameat2": ("rename", {X86: 316, ARM: 276}),
    "link": ("rename", {X86: 86}), "linkat": ("rename", {X86: 265, ARM: 37}), "unlink": ("unlink", {X86: 87}),
    "unlinkat": ("unlink", {X86: 263, ARM: 35}), "rmdir": ("unlink", {X86: 84}), "mkdir": ("mkdir", {X86: 83}),
    "mkdirat": ("mkdir", {X86: 258, ARM: 34}),
}  # fmt: skip
"""What each call is, and its number by machine (asm/unistd.h)."""

FLAGS_AT = {"open": 1, "openat": 2}
DESCRIPTOR_AT = {"copy_file_range": 2}
"""Which argument tells how a file is opened, and which one names what is written where that is not the first."""

SET_FILTER, NEW_LISTENER, NO_NEW_PRIVILEGES = 1, 8, 38  # linux/seccomp.h, linux/prctl.h
ALLOW, ASK = 0x7FFF0000, 0x7FC00000
RECEIVE, ANSWER, GO_ON = 0xC0502100, 0xC0182101, 1
LOAD, EQUAL, AND_ALL, RETURN = 0x20, 0x15, 0x54, 0x06  # linux/bpf_common.h
PATIENCE = 1200.0


class Operation(NamedTuple):
    """What a command is about to do.

    Attributes:
        kind: "open" (for writing), "write", "resize", "fsync", "rename", "unlink" or "mkdir".
        path: Relative to the folder that is watched; of a rename, the new name.
    """

    kind: str
    path: str


class Ended(NamedTuple):
    """How a command ended.

    Attributes:
        code: Its exit code; -9 where it was killed.
        operations: All that it was about to do, in order.
    """

    code: int
    operations: list[Operation]


def can_watch() -> bool:
    """Whether this system can tell."""
    if sys.platform != "linux" or platform.machine() not in (X86, ARM):
        return False
    return tuple(int(part) for part in platform.release().split(".")[:2]) >= (5, 5)


def run_watched(
    command: Callable[[], int], folder: Path, log: Path, judge: Callable[[Operation], int] = lambda _: 0
) -> Ended:
    """Run a command in a forked process.

    Args:
        command: Gives the exit code.
        folder: Operations elsewhere are not looked at.
        log: Gets its stdout and stderr, in the place of what it had.
        judge: Of each operation, in order: 0 lets it happen, KILL ends the command with SIGKILL ahead of it, and the
            number of a system error makes it fail with that.
    """
    ours, theirs = socket.socketpair()
    child = os.fork()
    if child == 0:
        ours.close()
        _be_watched(command, theirs, log)
    theirs.close()
    with ours:
        _, descriptors, _, _ = socket.recv_fds(ours, 1, 1)
    if not descriptors:
        raise RuntimeError(f"the system tells of no operations: {log.read_text(encoding='utf-8')}")
    try:
        operations = _watch(descriptors[0], child, os.path.realpath(folder), judge)
    finally:
        os.close(descriptors[0])
    return Ended(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), operations)


def _be_watched(command: Callable[[], int], to_parent: socket.socket, log: Path) -> None:
    """What the forked process does; it does not return."""
    code = 1
    try:
        written = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        for place, name in ((1, "stdout"), (2, "stderr")):
            os.dup2(written, place)
            setattr(sys, name, open(place, "w", encoding="utf-8", buffering=1, closefd=False))  # noqa: SIM115
        listener = _ask_before_operations()
        socket.send_fds(to_parent, [b"."], [listener])
        os.close(listener)
        to_parent.close()
        code = command()
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _ask_before_operations() -> int:
    """Let the system ask whoever has the descriptor that is returned before each operation of this process."""
    machine, libc = platform.machine(), ctypes.CDLL(None, use_errno=True)
    program = b"".join(_instructions(machine))
    buffer = ctypes.create_string_buffer(program, len(program))

    class Program(ctypes.Structure):
        _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_void_p)]  # noqa: RUF012

    about = Program(len(program) // 8, ctypes.addressof(buffer))
    seccomp = {X86: 317, ARM: 277}[machine]
    if libc.prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0) == 0:
        listener = libc.syscall(seccomp, SET_FILTER, NEW_LISTENER, ctypes.byref(about))
        if listener >= 0:
            return int(listener)
    raise OSError(ctypes.get_errno(), "seccomp")


def _instructions(machine: str) -> list[bytes]:
    """A filter for the kernel: files that are opened to be read, and all other calls, pass."""

    def step(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
        return struct.pack("HBBI", code, if_true, if_false, value)

    steps = [step(LOAD, 0)]
    for name, (_, numbers) in CALLS.items():
        if machine not in numbers:
            continue
        if name in FLAGS_AT:  # only where it opens for writing
            ask = [step(LOAD, 16 + 8 * FLAGS_AT[name]), step(AND_ALL, os.O_WRONLY | os.O_RDWR | os.O_CREAT)]
            ask += [step(EQUAL, 0, 0, 1), step(RETURN, ALLOW), step(RETURN, ASK)]
        else:
            ask = [step(RETURN, ASK)]
        steps += [step(EQUAL, numbers[machine], 0, len(ask)), *ask]
    return [*steps, step(RETURN, ALLOW)]


def _watch(listener: int, child: int, folder: str, judge: Callable[[Operation], int]) -> list[Operation]:
    """Answer until nothing that was started is left; a killed command's own processes end by themselves."""
    machine, found, killed, until = platform.machine(), [], False, time.monotonic() + PATIENCE
    names = {numbers[machine]: name for name, (_, numbers) in CALLS.items() if machine in numbers}
    poll = select.poll()
    poll.register(listener, select.POLLIN)
    while time.monotonic() < until:
        events = poll.poll(1000)
        if not events:
            continue
        if not events[0][1] & select.POLLIN:
            return found
        request = bytearray(80)
        try:
            ioctl(listener, RECEIVE, request)
        except (FileNotFoundError, InterruptedError):  # who asked is gone
            continue
        identity, asking, _, number, _, _, *values = struct.unpack("QIIiIQ6Q", request)
        operation = None if killed else _operation(asking, names[number], values, folder)
        verdict = 0
        if operation is not None:
            found.append(operation)
            verdict = judge(operation)
        if verdict == KILL:
            killed, verdict = True, 0
            os.kill(child, signal.SIGKILL)
            os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)  # answered before, the operation might happen
        try:
            ioctl(listener, ANSWER, struct.pack("QqiI", identity, 0, -verdict, 0 if verdict else GO_ON))
        except FileNotFoundError:
            continue
    os.kill(child, signal.SIGKILL)
    raise TimeoutError(f"a command has not ended after {PATIENCE:.0f} seconds")


def _operation(process: int, call: str, values: list[int], folder: str) -> Operation | None:
    """What a process is about to do, if it is below the folder."""
    kind = CALLS[call][0]
    try:
        if kind in ("write", "resize", "fsync"):
            path = os.readlink(f"/proc/{process}/fd/{values[DESCRIPTOR_AT.get(call, 0)]}")
        else:
            path = _named(process, call, values)
    except OSError:
        return None
    inside = os.path.relpath(path, folder)
    return None if inside.startswith("..") else Operation(kind, inside)


def _named(process: int, call: str, values: list[int]) -> str:
    """The path that a call is given, of two the second."""
    first, second = {"renameat": (2, 3), "renameat2": (2, 3), "linkat": (2, 3)}.get(call, (0, 1))
    if not call.endswith(("at", "at2")):
        first, second = -1, 1 if call in ("rename", "link") else 0
    with open(f"/proc/{process}/mem", "rb", buffering=0) as memory:
        memory.seek(values[second])
        path = os.fsdecode(memory.read(4096).partition(b"\0")[0])
    if os.path.isabs(path):
        return path
    beside = "cwd" if first < 0 or ctypes.c_int(values[first]).value < 0 else f"fd/{values[first]}"
    return os.path.join(os.readlink(f"/proc/{process}/{beside}"), path)
