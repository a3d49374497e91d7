"""One process at a time works in a folder, and a killed one keeps nobody out."""

from __future__ import annotations

import errno
import os
import re
import signal
import subprocess
import sys
import textwrap
import time

import pytest
from ofakit import locks, platforms
from ofakit.errors import UsageError
from ofakit.files import SaveError
from ofakit.locks import locked, only_one

from tests.file_limit import file_limit

CURE = "wait for it, or set another work_dir"
HOLDER = """
    import os, sys, time
    from pathlib import Path
    from ofakit.locks import only_one
    with only_one(Path(sys.argv[1]), "run", "wait"):
        if sys.argv[2] == "fork" and os.fork() == 0:
            print(os.getpid(), flush=True)
            time.sleep(600)
        if sys.argv[2] == "plain":
            print("held", flush=True)
        time.sleep(600)
"""


def take(folder, **options):
    return only_one(folder, "run", CURE, **options)


@pytest.fixture
def holder(tmp_path):
    """Starts a process that holds the lock; gives it and what it said."""
    started = []

    def start(how="plain"):
        command = [sys.executable, "-c", textwrap.dedent(HOLDER), str(tmp_path), how]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        started.append(process)
        return process, process.stdout.readline().strip()

    yield start
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


def test_another_process_is_refused_and_told_who_is_there(tmp_path, holder):
    process, _ = holder()
    said = rf"another run is using {tmp_path}: process {process.pid} on .+, since \d{{4}}-\d\d-\d\d .*; {CURE}"
    with pytest.raises(UsageError, match=said), take(tmp_path):
        raise AssertionError
    process.kill()
    process.wait()
    with take(tmp_path):
        assert f'"pid": {os.getpid()}' in (tmp_path / ".run.lock").read_text()
    assert not list(tmp_path.iterdir())


def test_waiting_ends_with_the_other_process(tmp_path, holder, monkeypatch, caplog):
    process, _ = holder()
    slept = []

    def end_it(seconds):
        slept.append(seconds)
        process.kill()
        process.wait()

    monkeypatch.setattr(locks.time, "sleep", end_it)
    with take(tmp_path, wait=True):
        assert slept and re.search(r"another run is using .*; waiting for it", caplog.text)


def test_a_forked_process_does_not_keep_the_lock_of_a_killed_one(tmp_path, holder):
    process, child = holder("fork")
    try:
        process.kill()
        process.wait()
        with take(tmp_path):
            pass
    finally:
        os.kill(int(child), signal.SIGKILL)


def test_one_process_may_hold_it_several_times_over(tmp_path):
    with take(tmp_path):
        with take(tmp_path / ".", nested=True):
            pass
        with pytest.raises(UsageError, match="another run is using .*, in this same process"), take(tmp_path):
            raise AssertionError
        assert (tmp_path / ".run.lock").exists()
    with pytest.raises(RuntimeError, match="broke"), take(tmp_path):
        raise RuntimeError("broke")
    assert not list(tmp_path.iterdir())


def test_a_forked_process_gives_back_nothing(tmp_path):
    with take(tmp_path):
        child = os.fork()
        if child == 0:
            locks._release(os.path.realpath(tmp_path / ".run.lock"))
            os._exit(0)
        os.waitpid(child, 0)
        assert (tmp_path / ".run.lock").exists()


def test_a_lock_whose_file_was_just_removed_is_not_taken_for_the_new_one(tmp_path, monkeypatch):
    """The holder removes its file when it gives the lock back, perhaps after another process has opened it."""
    real, removed = platforms.fcntl.flock, []

    def flock(handle, how):
        if not removed:
            removed.append((tmp_path / ".run.lock").unlink())
        return real(handle, how)

    monkeypatch.setattr(platforms.fcntl, "flock", flock)
    with take(tmp_path):
        assert (tmp_path / ".run.lock").exists()


def test_a_file_system_without_locks_is_said_so(tmp_path, monkeypatch, caplog):
    def flock(handle, how):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(platforms.fcntl, "flock", flock)

    def broken(handle, how):
        raise OSError(errno.EIO, "broken")

    with take(tmp_path):
        assert "cannot be locked (No locks available)" in caplog.text
    monkeypatch.setattr(platforms.fcntl, "flock", broken)
    with pytest.raises(OSError, match="broken"), take(tmp_path):
        raise AssertionError


def test_a_lock_keeps_others_out_until_the_block_ends(tmp_path):
    script = (
        "import sys; from pathlib import Path; from ofakit.locks import locked\n"
        "print('asks', flush=True)\nwith locked(Path(sys.argv[1])): print('in', flush=True)"
    )
    path = tmp_path / "new" / "a.lock"
    with locked(path):
        other = subprocess.Popen([sys.executable, "-c", script, path], stdout=subprocess.PIPE, text=True)
        assert other.stdout.readline() == "asks\n"
        time.sleep(0.1)
        assert other.poll() is None
    assert other.communicate(timeout=60)[0] == "in\n" and path.exists()


def test_a_full_disk_is_said(tmp_path):
    with file_limit(0), pytest.raises(SaveError, match="File too large"), only_one(tmp_path, "run", "wait for it"):
        pass
