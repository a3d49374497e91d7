"""A run's process: how it ends, and that a killed sweep leaves nothing running."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest
from ofakit.sweeps.run_process import RunFailed, RunProcess

# Forks a process, as one that loads data does, says both numbers, and sleeps.
PARENT_OF_A_SLEEPER = """
import os, time
child = os.fork()
if child:
    print(os.getpid(), child, flush=True)
time.sleep(300)
"""


def start(folder, code: str) -> RunProcess:
    return RunProcess(folder, [sys.executable, "-c", code], os.environ)


def numbers_said(folder) -> list[int]:
    """Process numbers that a run has printed, once it has."""
    for _ in range(3000):
        text = (folder / "stdout.log").read_text() if (folder / "stdout.log").exists() else ""
        if text.endswith("\n"):
            return [int(word) for word in text.split()]
        time.sleep(0.01)
    raise TimeoutError(f"nothing in {folder / 'stdout.log'}")


def lives(number: int) -> bool:
    """Whether a process runs; one that nobody has collected yet does not."""
    try:
        with open(f"/proc/{number}/stat", encoding="utf-8") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def is_gone(number: int) -> bool:
    """Whether a process ends within half a minute."""
    for _ in range(3000):
        if not lives(number):
            return True
        time.sleep(0.01)
    return False


def test_the_result_is_the_last_line(tmp_path):
    process = start(tmp_path / "run", "print('log'); print('{\"cider\": 0.5}')")
    assert process.result() == {"cider": 0.5}


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("raise ValueError('too hot')", "exit code 1: ValueError: too hot"),
        ("import sys; sys.exit('tool: error: unknown key')", "exit code 1: tool: error: unknown key"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "killed by SIGKILL: it wrote nothing"),
        ("print('no JSON')", "expected one JSON object as the last line of stdout, found 'no JSON'"),
    ],
)
def test_a_failure_says_why(tmp_path, code, said):
    with pytest.raises(RunFailed, match=said):
        start(tmp_path / "run", code).result()


def test_terminating_a_run_ends_what_it_has_started(tmp_path):
    process = start(tmp_path, PARENT_OF_A_SLEEPER)
    leader, child = numbers_said(tmp_path)
    process.terminate()
    assert is_gone(leader) and is_gone(child)


def test_a_run_that_does_not_listen_is_ended_too(tmp_path, monkeypatch):
    monkeypatch.setattr("ofakit.sweeps.run_process.PATIENCE", 0.2)
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); time.sleep(300)"
    process = start(tmp_path, code)
    numbers_said(tmp_path)
    process.terminate()
    assert not process.is_running()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a process with its parent")
def test_a_run_ends_when_its_sweep_is_killed_and_what_it_had_started_when_it_goes_on(tmp_path):
    run = f"""
import os, time
from pathlib import Path
from ofakit.sweeps.run_process import RunProcess
RunProcess(Path({str(tmp_path)!r}), [{sys.executable!r}, "-c", {PARENT_OF_A_SLEEPER!r}], os.environ)
time.sleep(300)
"""
    sweep = subprocess.Popen([sys.executable, "-c", run])
    leader, child = numbers_said(tmp_path)
    sweep.send_signal(signal.SIGKILL)
    sweep.wait()
    assert is_gone(leader)
    assert lives(child)
    assert start(tmp_path, "print('{}')").result() == {}
    assert is_gone(child)
