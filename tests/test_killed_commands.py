"""Killed at some file operations, a training run and a sweep end as undisturbed: a part of the benchmark."""

from __future__ import annotations

import errno
import subprocess

import pytest

from tests.file_operations import KILL, Operation, can_watch, run_watched
from tests.killed_commands import SWEEP, TRAINING, kill_often

pytestmark = pytest.mark.skipif(not can_watch(), reason="needs Linux 5.5 or later on x86-64 or ARM")


def test_operations_are_seen_refused_and_the_last(tmp_path):
    folder, log = tmp_path / "here", tmp_path / "log"
    folder.mkdir()

    def command():
        (folder / "a").mkdir()
        (folder / "a" / "file").write_text("text")
        (folder / "a" / "file").rename(folder / "b")
        (tmp_path / "elsewhere").write_text("text")
        return subprocess.run(["cp", folder / "b", folder / "c"], check=False).returncode

    seen = run_watched(command, folder, log)
    path = [("mkdir", "a"), ("open", "a/file"), ("write", "a/file"), ("rename", "b"), ("open", "c")]
    assert seen.code == 0 and seen.operations[:5] == [Operation(*pair) for pair in path]
    (folder / "a").rmdir()
    refused = run_watched(command, folder, log, lambda operation: errno.ENOSPC * (operation.path == "c"))
    assert refused.code == 1 and "No space left" in log.read_text()
    (folder / "a").rmdir()
    killed = run_watched(command, folder, log, lambda operation: KILL * (operation.kind == "rename"))
    assert killed.code == KILL and (folder / "a" / "file").read_text() == "text"
    assert killed.operations == seen.operations[:4]


@pytest.mark.parametrize(("command", "kills"), [(TRAINING, 8), (SWEEP, 3)], ids=["training", "sweep"])
def test_killed_anywhere_it_ends_as_undisturbed(tmp_path, command, kills):
    counts = kill_often(command, tmp_path, kills, seed=8)
    assert counts["kills"] == kills and not counts["problems"] and counts["unreadable"] == 0
    assert counts["bit_equal"] == counts["ended"] > 0
