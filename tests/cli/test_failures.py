"""What a machine does to a run: one line, the right exit code, no traceback, and the other processes end too."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from ofakit.cli._failures import said_of
from ofakit.trainers.state import latest_snapshot

from .small_runs import TRAIN, arguments, same_weights, start, wait_for_steps

KEEPER = """
import atexit
import runpy
import sys
from pathlib import Path

from ofakit.trainers import Trainer

kept, make = [], Trainer.__init__


def keep(self, *arguments, **named):
    kept.append(self)
    make(self, *arguments, **named)


@atexit.register
def look():
    threads = (path.read_text().strip() for path in Path("/proc/self/task").glob("*/comm"))
    print("threads at the end:", *threads, file=sys.stderr)


Trainer.__init__ = keep
runpy.run_path(sys.argv.pop(1), run_name="__main__")
"""
"""Holds its trainer until Python ends, as a script may, and says what runs then."""

TORCHRUN = ["-m", "torch.distributed.run"]


def children(process):
    """The processes that one has started."""
    return [int(number) for number in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


def last_line(log):
    text = log.read_text()
    assert "Traceback" not in text and "terminate called" not in text, text
    return text.splitlines()[-1]


def test_a_killed_loading_process_ends_the_run_in_one_line(tmp_path):
    run = start([TRAIN, *arguments(tmp_path / "run", **{"train.dataloader.workers_per_gpu": 1})], tmp_path / "log")
    wait_for_steps(run, tmp_path / "run", 3)
    os.kill(children(run.pid)[-1], signal.SIGKILL)
    assert run.wait(120) == 1
    assert "a data-loading process was killed" in last_line(tmp_path / "log")
    assert latest_snapshot(tmp_path / "run") is not None


def test_a_removed_run_directory_ends_the_run_in_one_line(tmp_path):
    run = start([TRAIN, *arguments(tmp_path / "run")], tmp_path / "log")
    wait_for_steps(run, tmp_path / "run", 3)
    (tmp_path / "run").rename(tmp_path / "gone")
    assert run.wait(120) == 1
    assert "run/" in last_line(tmp_path / "log")


def test_closed_output_ends_no_run_with_a_traceback(tmp_path):
    reading, writing = os.pipe()
    run = start([TRAIN, *arguments(tmp_path / "run", steps=3)], tmp_path / "log", stdout=writing)
    os.close(writing)
    os.close(reading)
    assert run.wait(120) == 1
    assert "stdout was closed" in last_line(tmp_path / "log")
    assert (tmp_path / "run" / "output").is_dir()


def two(work_dir, **more):
    return [*TORCHRUN, "--standalone", "--nproc_per_node", "2", TRAIN, *arguments(work_dir, **more)]


def kept(work_dir, **more):
    """The same, by a script that keeps its trainer."""
    script = work_dir.parent / "keeper.py"
    script.write_text(KEEPER)
    command = two(work_dir, **more)
    return [*command[: command.index(TRAIN)], script, *command[command.index(TRAIN) :]]


def threads_at_the_end(log):
    """What has still run in each process when Python ended."""
    return [line for line in log.read_text().splitlines() if "threads at the end:" in line]


def test_two_processes_stop_at_sigterm_and_go_on_bit_for_bit(tmp_path):
    whole = start(kept(tmp_path / "whole", steps=12), tmp_path / "whole.log")
    assert whole.wait(240) == 0, (tmp_path / "whole.log").read_text()
    found = threads_at_the_end(tmp_path / "whole.log")
    assert len(found) == 2 and not any("gloo" in line for line in found), found
    run = start(kept(tmp_path / "run", steps=12), tmp_path / "log")
    wait_for_steps(run, tmp_path / "run", 2)
    run.send_signal(signal.SIGTERM)
    assert run.wait(120) != 0
    assert "stopped by SIGTERM after step" in (tmp_path / "log").read_text()
    assert "terminate called" not in (tmp_path / "log").read_text()
    assert not any("gloo" in line for line in threads_at_the_end(tmp_path / "log"))
    assert latest_snapshot(tmp_path / "run") is not None
    assert start(kept(tmp_path / "run", steps=12), tmp_path / "log").wait(240) == 0
    assert "resuming from" in (tmp_path / "log").read_text()
    assert same_weights(tmp_path / "whole", tmp_path / "run")


def test_a_killed_process_ends_the_others(tmp_path):
    run = start(two(tmp_path / "run"), tmp_path / "log")
    wait_for_steps(run, tmp_path / "run", 3)
    os.kill(children(run.pid)[-1], signal.SIGKILL)
    assert run.wait(120) == 1
    assert "terminate called" not in (tmp_path / "log").read_text()


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            RuntimeError("[/pytorch/third_party/gloo/gloo/transport/tcp/pair.cc:534] Connection closed by peer"),
            "exited",
        ),
        (
            RuntimeError("[gloo/transport/tcp/buffer.cc:81] Timed out waiting 9ms for recv"),
            "timeout_minutes",
        ),
        (RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed. "), "a data-loading process was killed"),
        (BrokenPipeError(32, "Broken pipe"), "closed"),
        (RuntimeError("shape '[2]' is invalid"), None),
        (OSError("without a name"), None),
        (OSError(28, "No space left on device"), "cannot write: No space left on device"),
        (RuntimeError("writing failed: No space left on device (os error 28)"), "cannot write: No space left"),
    ],
)
def test_what_is_said(error, said):
    sentence = said_of(error)
    assert (sentence is None) == (said is None) and (said is None or said in sentence)
