"""What systems do each in their own way: the way of each, tried on this one."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading

import pytest
from ofakit import locks, platforms
from ofakit.errors import UsageError
from ofakit.locks import locked, only_one

fcntl = pytest.importorskip("fcntl")
LACKING = ("pread", "pwrite", "posix_fallocate")


class StandIn:
    """`msvcrt.locking` as far as it is used: one byte from where the file stands, EACCES where another process has it.

    Unlike Windows' own, `lockf` keeps out other processes only, and lets go when any file of that name is closed.
    """

    LK_NBLCK = 2

    def locking(self, descriptor, mode, count):
        assert mode == self.LK_NBLCK and os.lseek(descriptor, 0, os.SEEK_CUR) == platforms.FAR_BEHIND
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, count, 0, os.SEEK_CUR)


@pytest.fixture
def windows(monkeypatch):
    """Locks in the way of Windows, and none of the functions that it lacks."""
    monkeypatch.setattr(platforms, "fcntl", None)
    monkeypatch.setattr(platforms, "msvcrt", StandIn())
    for name in LACKING:
        monkeypatch.delattr(os, name, raising=False)


HOLDER = """
import os, sys, time
from pathlib import Path
from ofakit import platforms
from tests.test_platforms import StandIn
from ofakit.locks import only_one
platforms.fcntl, platforms.msvcrt = None, StandIn()
with only_one(Path(sys.argv[1]), "run", "wait"):
    print("held", flush=True)
    time.sleep(600)
"""


def test_a_lock_of_windows_says_who_has_it_and_is_released_by_a_kill(tmp_path, windows, monkeypatch):
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    paths = os.pathsep.join([root, os.path.join(root, "plugins")])
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, tmp_path], stdout=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": paths},
    )  # fmt: skip
    try:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(UsageError, match=f"process {holder.pid} on "), only_one(tmp_path, "run", "wait"):
            raise AssertionError
        slept = []

        def end_it(seconds):
            slept.append(seconds)
            holder.kill()
            holder.wait()

        monkeypatch.setattr(locks.time, "sleep", end_it)
        with only_one(tmp_path, "run", "wait", wait=True):
            assert slept and f'"pid": {os.getpid()}' in (tmp_path / ".run.lock").read_text(encoding="utf-8")
        assert not list(tmp_path.iterdir())
    finally:
        holder.kill()
        holder.wait()
        holder.stdout.close()


def test_a_lock_of_windows_is_waited_for_and_leaves_the_file_where_it_stands(tmp_path, windows, monkeypatch):
    tries = []

    class Taken(StandIn):
        def locking(self, descriptor, mode, count):
            tries.append(os.lseek(descriptor, 0, os.SEEK_CUR))
            if len(tries) < 3:
                raise PermissionError(errno.EACCES, "taken")

    monkeypatch.setattr(platforms, "msvcrt", Taken())
    monkeypatch.setattr(platforms.time, "sleep", lambda _: None)
    with open(tmp_path / "a", "w+b") as file:
        file.write(b"abc")
        file.flush()
        platforms.lock(file.fileno())
        assert tries == [platforms.FAR_BEHIND] * 3 and os.lseek(file.fileno(), 0, os.SEEK_CUR) == 3
        tries.clear()
        with pytest.raises(PermissionError):
            platforms.lock(file.fileno(), wait=False)


def test_a_system_without_locks_is_said_so_once(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(platforms, "fcntl", None)
    for _ in range(2):
        with locked(tmp_path / "a.lock"), only_one(tmp_path, "run", "wait"):
            pass
    assert len(caplog.records) == 2 and "cannot be locked (Function not implemented)" in caplog.text


@pytest.mark.parametrize("lacking", [(), LACKING])
def test_reads_and_writes_at_a_place(tmp_path, monkeypatch, lacking):
    for name in lacking:
        monkeypatch.delattr(os, name)
    with open(tmp_path / "a", "w+b", buffering=0) as file:
        platforms.reserve(file.fileno(), 4000)
        platforms.reserve(file.fileno(), 10)
        assert os.fstat(file.fileno()).st_size == 4000
        parts = [bytes([number]) * 100 for number in range(40)]
        threads = [threading.Thread(target=platforms.write_at, args=(file.fileno(), part, 100 * number))
                   for number, part in enumerate(parts)]  # fmt: skip
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert platforms.read_at(file.fileno(), 5000, 0) == b"".join(parts)
        assert platforms.read_at(file.fileno(), 3, 199) == b"\x01\x02\x02"


def test_a_write_in_pieces_goes_on_where_it_stopped(tmp_path, monkeypatch):
    real = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda descriptor, content, offset: real(descriptor, content[:3], offset))
    with open(tmp_path / "a", "w+b", buffering=0) as file:
        platforms.write_at(file.fileno(), memoryview(b"0123456789"), 2)
    assert (tmp_path / "a").read_bytes() == b"\0\x000123456789"


@pytest.mark.parametrize("windows_too", [False, True])
def test_files_and_folders_are_flushed(tmp_path, monkeypatch, windows_too):
    opened, real = [], os.open
    monkeypatch.setattr(platforms, "WINDOWS", windows_too)
    monkeypatch.setattr(os, "open", lambda path, flags: opened.append((path, flags)) or real(path, flags))
    file = tmp_path / "a"
    file.write_bytes(b"a")
    platforms.sync(file)
    platforms.sync(tmp_path)
    expected = [(file, os.O_RDWR)] if windows_too else [(file, os.O_RDONLY), (tmp_path, os.O_RDONLY)]
    assert opened == expected


def test_a_group_is_ended_with_what_it_has_started():
    code = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import time; print(1); time.sleep(600)'])"
    process = subprocess.Popen([sys.executable, "-u", "-c", code], stdout=subprocess.PIPE, **platforms.own_group())
    assert process.stdout.readline()
    platforms.end_group(process.pid, force=True)
    assert process.wait(60) == -signal.SIGKILL and process.stdout.read() == b""  # the child's end is closed, too
    process.stdout.close()
    platforms.end_group(process.pid, force=True)


def test_windows_is_told_in_its_own_words(monkeypatch):
    told = []
    monkeypatch.setattr(platforms, "WINDOWS", True)
    monkeypatch.setattr(subprocess, "run", lambda command, **_: told.append(command))
    monkeypatch.setattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 512, raising=False)
    monkeypatch.setattr(signal, "CTRL_BREAK_EVENT", 1, raising=False)
    monkeypatch.setattr(os, "kill", lambda *arguments: told.append(arguments))
    platforms.end_group(7, force=False)
    platforms.end_group(7, force=True)
    assert told == [(7, 1), ["taskkill", "/PID", "7", "/T", "/F"]]
    assert platforms.own_group() == {"creationflags": 512}
    assert [number.name for number in platforms.signals(["SIGBREAK", "SIGTERM"])] == ["SIGTERM"]
