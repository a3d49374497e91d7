"""The run directory is one that can be written; an earlier run in it is moved aside whole."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from ofakit.errors import UsageError
from ofakit.trainers.run_directory import all_alone_in, alone_in, best_model, make_run_directory, move_earlier_run

from tests.two_processes import ONE


@pytest.mark.parametrize("name", ["file", "file/below", "x" * 300])
def test_a_work_dir_that_cannot_be_made_is_refused(tmp_path, name):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="work_dir.*--set work_dir="):
        make_run_directory(tmp_path / name)


def test_a_work_dir_is_made_with_its_parents(tmp_path):
    assert make_run_directory(tmp_path / "a" / "b").is_dir()


def test_earlier_runs_are_numbered_and_the_data_stays(tmp_path):
    for run in ("first", "second"):
        (tmp_path / "output").mkdir()
        (tmp_path / "metrics.jsonl").write_text(run)
        (tmp_path / "image_store").mkdir(exist_ok=True)
        move_earlier_run(tmp_path)
    move_earlier_run(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["earlier", "image_store"]
    kept = {path.name: (path / "metrics.jsonl").read_text() for path in (tmp_path / "earlier").iterdir()}
    assert kept == {"1": "first", "2": "second"}


@pytest.mark.parametrize("taken", [("1", "3"), ("notes", "2_old", "\N{SUPERSCRIPT TWO}"), ("007",)])
def test_gaps_and_other_things_among_earlier_runs_stop_nothing(tmp_path, taken):
    for name in taken:
        (tmp_path / "earlier" / name / "output").mkdir(parents=True)
    (tmp_path / "output").mkdir()
    move_earlier_run(tmp_path)
    number = {"1": "4", "notes": "1", "007": "8"}[taken[0]]
    assert (tmp_path / "earlier" / number / "output").is_dir() and not (tmp_path / "output").exists()
    assert all((tmp_path / "earlier" / name / "output").is_dir() for name in taken)


def test_links_stay_and_what_they_lead_to_is_kept(tmp_path):
    disk, run = tmp_path / "disk", tmp_path / "run"
    for number, text in enumerate(("first", "second"), start=1):
        (disk / "best").mkdir(parents=True)
        (disk / "best" / "weights").write_text(text)
        run.mkdir(exist_ok=True)
        if number == 1:
            (run / "best").symlink_to("../disk/best")
        move_earlier_run(run)
        assert (run / "best").is_symlink() and not (run / "best").exists()
        assert (run / "earlier" / str(number) / "best" / "weights").read_text() == text
    assert (run / "earlier" / "1" / "best" / "weights").read_text() == "first"


def test_one_run_works_in_a_directory(tmp_path):
    code = "import sys; from ofakit.trainers.run_directory import alone_in\nwith alone_in(sys.argv[1]): print('in')"
    with alone_in(tmp_path / "run"), alone_in(tmp_path / "run"), alone_in(tmp_path / "run", is_main=False):
        done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "run")], capture_output=True, text=True)
        assert "another run is using" in done.stderr and f"process {os.getpid()} on" in done.stderr
        assert "--wait" in done.stderr and not done.stdout


def test_every_process_hears_of_another_run(tmp_path):
    class Second:
        is_main = False

        def gather(self, value):
            return [UsageError("another run is using"), value]

    with pytest.raises(UsageError, match="another run is using"), all_alone_in(tmp_path / "run", Second()):
        raise AssertionError("it works there all the same")
    with all_alone_in(tmp_path / "run", ONE), pytest.raises(subprocess.CalledProcessError):
        code = "import sys; from ofakit.trainers.run_directory import alone_in\nwith alone_in(sys.argv[1]): pass"
        subprocess.run([sys.executable, "-c", code, str(tmp_path / "run")], check=True, capture_output=True)


@pytest.mark.parametrize("made, expected", [(("best", "output"), "best"), (("output",), "output"), ((), None)])
def test_the_best_model_or_the_last(tmp_path, made, expected):
    for name in made:
        (tmp_path / name).mkdir()
    assert best_model(tmp_path) == (None if expected is None else tmp_path / expected)
