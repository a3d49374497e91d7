"""One run as a process: started in its folder, watched, ended, and never left behind by a killed sweep."""

from __future__ import annotations

import ctypes
import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from ofakit.errors import UsageError
from ofakit.platforms import BINARY, WINDOWS, end_group, lock, own_group, read_at, signals, write_at
from ofakit.sweeps.record import parse_result

__all__ = ["RunFailed", "RunProcess"]

ENDING = signals(("SIGTERM", "SIGINT", "SIGHUP"))
PR_SET_PDEATHSIG = 1  # linux/prctl.h
LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None
ASKED = (*(-number for number in ENDING), *(128 + number for number in ENDING))
"""Exit codes of a process that a signal ended, and of one that ended in order when it got the signal."""
PATIENCE = 10.0  # seconds between asking a process to end and ending it


class RunFailed(Exception):
    """A run ended without a result; the message says why. It goes into the records, not to the user."""


class RunProcess:
    """A running run. Its output goes to `stdout.log` and `stderr.log` in its folder.

    Args:
        folder: The run directory; created where it is missing.
        command: Program and arguments.
        environment: Its environment variables.
        directory: Its working directory; None means this process's.
    """

    def __init__(
        self, folder: Path, command: Sequence[str], environment: Mapping[str, str], directory: Path | None = None
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.started = time.monotonic()
        owned = _own(folder)
        try:
            with open(folder / "stdout.log", "wb") as stdout, open(folder / "stderr.log", "ab") as stderr:
                self._process = subprocess.Popen(
                    list(command),
                    stdin=subprocess.DEVNULL,
                    stdout=stdout,
                    stderr=stderr,
                    env=dict(environment),
                    cwd=directory,
                    # Its own group, so that it can be ended with everything it starts.
                    **own_group(),
                    # The lock is held for as long as the process lives, or one that it has forked. Windows hands on no
                    # open files; what a killed sweep leaves running there keeps its run directory by its own lock.
                    pass_fds=() if WINDOWS else (owned,),
                    preexec_fn=_die_with_parent(os.getpid()),
                )
            write_at(owned, str(self._process.pid).encode().ljust(20), 0)
        finally:
            os.close(owned)

    @property
    def seconds(self) -> float:
        """Wall time since the start."""
        return round(time.monotonic() - self.started, 1)

    def is_running(self) -> bool:
        """Whether it has not ended yet."""
        return self._process.poll() is None

    def was_asked_to_end(self) -> bool:
        """Whether something else asked it to end, as a machine that shuts down does: not a fault of the run."""
        return self._process.wait() in ASKED

    def terminate(self) -> None:
        """End it with everything it started: first by asking, then by force."""
        end_group(self._process.pid, force=False)
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(PATIENCE)
        end_group(self._process.pid, force=True)
        self._process.wait()

    def result(self) -> dict[str, Any]:
        """The last line of its stdout.

        Raises:
            RunFailed: It ended with an error, or the last line is not a JSON object.
        """
        code = self._process.wait()
        if code:
            ended = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
            raise RunFailed(f"{ended}: {self._last_words()}")
        try:
            return parse_result(self.folder / "stdout.log")
        except UsageError as error:
            raise RunFailed(str(error)) from None

    def _last_words(self) -> str:
        """The last line of stderr that is not blank."""
        text = (self.folder / "stderr.log").read_text(encoding="utf-8", errors="replace")
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        return lines[-1][:500] if lines else "it wrote nothing to stderr"


def _own(folder: Path) -> int:
    """The lock of a run directory, once anything that a killed sweep left running there has been ended."""
    owned = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT | BINARY, 0o644)
    try:
        lock(owned, wait=False)
    except BlockingIOError:
        leader = read_at(owned, 20, 0).strip()
        # The lock is held, so a process of that group is alive, and the group's number cannot have been reused.
        if leader:
            end_group(int(leader), force=True)
        lock(owned)
    except PermissionError:  # on Windows, where nobody has it for longer than a start takes
        lock(owned)
    except OSError as error:
        if error.errno != errno.ENOSYS:
            raise
    return owned


def _die_with_parent(parent: int) -> Any:
    """What a new process does first, so that it ends when the sweep is killed; only on Linux."""
    if LIBC is None:
        return None

    def prepare() -> None:
        LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)

    return prepare
