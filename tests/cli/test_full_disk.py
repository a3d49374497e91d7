"""A disk that is full in the middle of a command: one line, what was there is intact, and it goes on bit for bit."""

from __future__ import annotations

import errno
import subprocess

import numpy as np
import pytest
from ofakit.cli import index, report
from ofakit.retrieval import load_index, write_index

from tests.file_operations import can_watch, run_watched
from tests.killed_commands import TRAINING, Rehearsed
from tests.written_runs import write_captioning_run

pytestmark = pytest.mark.skipif(not can_watch(), reason="needs Linux 5.5 or later on x86-64 or ARM")

NEEDS_ROOM = {"write", "resize", "mkdir"}
PARTS = ("store", "data", "snapshot", "best", "evaluation", "metrics", "output", "run")
VECTORS = np.random.default_rng(0).standard_normal((400, 8)).astype(np.float32)


class FillsUp:
    """A disk that is full from the n-th operation of a kind on, of those that count."""

    def __init__(self, number, counts=lambda operation: operation.kind == "write"):
        self.left, self.counts = number, counts

    def __call__(self, operation):
        self.left -= self.counts(operation)
        return errno.ENOSPC if self.left <= 0 and operation.kind in NEEDS_ROOM else 0


def said_in_one_line(said):
    assert "Traceback" not in said and "Logging error" not in said, said
    assert "No space left" in said.splitlines()[-1] and ": error: " in said.splitlines()[-1], said


@pytest.fixture(scope="module")
def disk(tmp_path_factory):
    """A folder that may be a disk of its own, and what changes its size."""
    folder = tmp_path_factory.mktemp("disk")
    mount = ["mount", "-t", "tmpfs", "-o", "size=512m", "tmpfs", str(folder)]
    mounted = subprocess.run(mount, capture_output=True, check=False).returncode == 0

    def resize(size):
        if not mounted:
            pytest.skip("a small disk can be mounted by root alone")
        subprocess.run(["mount", "-o", f"remount,size={size}", str(folder)], check=True)

    yield folder, resize
    if mounted:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture(scope="module")
def run(disk, tmp_path_factory):
    """A small run that has ended once."""
    return Rehearsed(TRAINING, disk[0], tmp_path_factory.mktemp("words") / "log")


@pytest.mark.parametrize("part", PARTS)
def test_a_run_on_a_disk_that_fills_up_goes_on_once_there_is_room(run, part):
    def counts(operation):
        return (run.part(operation), operation.kind) == (part, "write")

    run.begin_anew()
    assert run.run(FillsUp(1 + sum(map(counts, run.operations)) // 2, counts)).code in (1, 2)
    said_in_one_line(run.said())
    assert not run.faults()
    assert run.run().code == 0, run.said()
    assert not run.difference()


def test_a_run_on_a_small_disk_goes_on_on_a_larger_one(run, disk):
    run.begin_anew()
    disk[1]("100m")  # a snapshot takes 43 MB
    assert run.run().code == 1
    said_in_one_line(run.said())
    assert not run.faults() and list(run.place.glob("run/checkpoints/step_*"))
    disk[1]("512m")
    assert run.run().code == 0, run.said()
    assert not run.difference()


def watched(command, arguments, folder, judge=lambda _: 0):
    ended = run_watched(lambda: command.main(arguments), folder, folder.parent / "log", judge)
    return ended, (folder.parent / "log").read_text()


@pytest.mark.parametrize("what", ["report", "index"])
def test_reports_and_indexes_are_the_old_ones_where_there_is_no_room_for_new_ones(tmp_path, what):
    folder = tmp_path / "here"
    folder.mkdir()
    if what == "report":
        write_captioning_run(folder / "run")
        command, arguments = report, [str(folder / "run"), "--out", str(folder / "report.html")]
    else:
        write_index(folder / "base", VECTORS, [f"p{n}" for n in range(400)], fingerprint="one", metric="cosine")
        command, arguments = index, ["--vectors", str(folder / "base"), "--factory", "HNSW8"]
    whole, _ = watched(command, arguments, folder)
    assert whole.code == 0
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    writes = sum(operation.kind == "write" for operation in whole.operations)
    for number in sorted({1, 1 + writes // 2, writes}):
        ended, said = watched(command, arguments, folder, FillsUp(number))
        assert ended.code == 1, (number, said)
        said_in_one_line(said)
        assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    assert watched(command, arguments, folder)[0].code == 0
    assert what == "report" or load_index(folder / "base", verify=True).search(VECTORS[:1], 1)[1][0, 0] == "p0"
