"""A command in a terminal of its own, and what its screen shows in the end."""

from __future__ import annotations

import os
import struct
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def in_terminal(command, columns=80, **environment):
    """Run a command with stderr on a pseudo-terminal.

    Returns:
        Exit code, stdout, and all that was written to the terminal.
    """
    pty = pytest.importorskip("pty")
    import fcntl
    import termios

    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    path = os.pathsep.join([str(ROOT / "plugins"), str(ROOT)])
    own = {**os.environ, "PYTHONPATH": path, "TERM": "xterm-256color", **environment}
    own.pop("COLUMNS", None)
    process = subprocess.Popen(
        command, cwd=ROOT, env=own, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=follower
    )
    os.close(follower)
    written = bytearray()
    try:
        while piece := os.read(leader, 65536):
            written += piece
    except OSError:  # how Linux says that nobody has the terminal open any longer
        pass
    os.close(leader)
    out = process.stdout.read().decode()
    process.stdout.close()
    return process.wait(), out, written.decode("utf-8", "replace")


def screen(written, columns):
    """The lines that are to be seen after all was written, by carriage returns and line ends alone.

    Raises:
        AssertionError: There are other codes in it.
    """
    assert "\x1b" not in written
    lines, place = [""], 0
    for character in written:
        if character == "\n":
            lines.append("")
            place = 0  # the terminal has made a carriage return of it
        elif character == "\r":
            place = 0
        else:
            if place == columns:
                lines.append("")
                place = 0
            line = lines[-1].ljust(place)
            lines[-1] = line[:place] + character + line[place + 1 :]
            place += 1
    return [line.rstrip() for line in lines]
