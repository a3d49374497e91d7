"""Commands as processes of this machine."""

from __future__ import annotations

import json

import pytest
from ofakit.cli._local_tasks import places, run_local_tasks
from ofakit.errors import UsageError
from ofakit.sweeps.launcher import usable_cores

SEES = "import json, os; print(json.dumps({key: os.environ.get(key) for key in ('CUDA_VISIBLE_DEVICES', 'A')}))"
DIES = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
REFUSES = "import sys; sys.exit('tool: error: no such file')"


def test_each_gives_its_result_or_why_it_failed(tmp_path, monkeypatch):
    monkeypatch.setenv("A", "b")
    codes = [SEES, DIES, REFUSES, SEES]
    logs = [tmp_path / str(number) for number in range(4)]
    found = dict(run_local_tasks([["-c", code] for code in codes], logs, 1, 0))
    assert found[0] == found[3] == {"CUDA_VISIBLE_DEVICES": "", "A": "b"}
    assert found[1].startswith("killed by SIGKILL")
    assert found[2] == "exit code 1: tool: error: no such file"
    assert json.loads((tmp_path / "3" / "stdout.log").read_text()) == found[3]


def test_when_one_stops_asking_nothing_is_left_running(tmp_path):
    """The sleeper is ended, and the one that waits for its place is never started."""
    sleeps = "import time; time.sleep(300)"
    logs = [tmp_path / str(number) for number in range(3)]
    tasks = run_local_tasks([["-c", SEES], ["-c", sleeps], ["-c", sleeps]], logs, usable_cores(), 0)
    assert next(tasks)[0] == 0
    tasks.close()
    assert not (tmp_path / "2").exists()


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ((3, 0, 8, []), ["", ""]),
        ((1, 1, 8, ["4", "7"]), ["4", "7"]),
        ((4, 1, 8, ["0", "1", "2"]), ["0", "1"]),
        ((1, 2, 8, ["0", "1", "2"]), ["0,1"]),
        ((1, 0.4, 8, ["0", "1"]), ["0", "1", "0", "1"]),
        ((1, 0.1, 2, ["0"]), ["0", "0"]),
    ],
)
def test_as_many_at_once_as_there_is_room_for(asked, found):
    assert places(*asked) == found


@pytest.mark.parametrize("asked", [(9, 0, 8, []), (1, 1, 8, []), (1, 4, 8, ["0", "1"])])
def test_no_room_for_one_is_said(asked):
    with pytest.raises(UsageError, match=rf"{asked[0]} cores and {asked[1]} GPUs, but this machine has only 8 cores"):
        places(*asked)
