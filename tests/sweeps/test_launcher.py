"""A run's command and environment, and the record of how it ended."""

from __future__ import annotations

import json
import os
import sys

import pytest
from ofakit.sweeps.folder import SweepFolder
from ofakit.sweeps.launcher import Launcher, say
from ofakit.sweeps.load_sweep import load_sweep

# Prints its arguments and what it was given to compute with, as the result of a run.
TELL = """
import json, os, sys
given = {name: os.environ.get(name) for name in ("OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES")}
print(json.dumps({"cider": 1.5, "arguments": sys.argv[1:], "here": os.getcwd(), **given}))
"""


@pytest.fixture
def launcher(write_sweep):
    def make(code=TELL, directory=None, **keys):
        config = load_sweep(write_sweep(command=["python", "-c", code], **keys))
        return Launcher(config, SweepFolder(config), config.command, directory)

    return make


def concluded(launcher, number=0, parameters=None, resume=False, slot=0, more=(), pruned=False):
    parameters = {"gain": 2.0} if parameters is None else parameters
    process = launcher.launch(number, parameters, resume, slot, *more)
    process._process.wait()
    return launcher.conclude(number, parameters, process, launcher.reader(number), pruned)


def test_a_run_gets_the_base_its_settings_and_its_folder(launcher, tmp_path):
    run = launcher(set={"train.max_steps": 5}, directory=tmp_path)
    record = concluded(run, 3, more=("--checkpoint", "DIR"))
    assert record.result["arguments"] == [
        "--conf", str(tmp_path / "base.json"), "--set", "train.max_steps=5", "--set", "gain=2.0",
        "--set", f"work_dir={tmp_path}/sweep/runs/3", "--checkpoint", "DIR",
    ]  # fmt: skip
    assert record.result["here"] == str(tmp_path)
    assert concluded(run, resume=True).result["arguments"][-1] == "--resume"


@pytest.mark.parametrize(
    ("keys", "given", "threads"),
    [
        ({}, "6", "6"),
        ({"parallel": 3}, "6", "2"),
        ({"parallel": 9}, "6", "1"),
        ({"threads": 5, "parallel": 3}, "6", "5"),
    ],
)
def test_the_threads_are_shared(launcher, monkeypatch, keys, given, threads):
    monkeypatch.setenv("OMP_NUM_THREADS", given)
    assert concluded(launcher(**keys)).result["OMP_NUM_THREADS"] == threads


def test_without_a_number_of_threads_the_cores_are_shared(launcher, monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    assert concluded(launcher(parallel=2)).result["OMP_NUM_THREADS"] == "4"
    assert concluded(launcher()).result["OMP_NUM_THREADS"] is None


@pytest.mark.parametrize(("slot", "device"), [(0, "2"), (1, "3"), (2, "2")])
def test_devices_are_given_in_turn(launcher, slot, device):
    assert concluded(launcher(devices=["2", "3"]), slot=slot).result["CUDA_VISIBLE_DEVICES"] == device


def test_a_run_that_is_done_is_scored_by_its_result(launcher, tmp_path):
    record = concluded(launcher(), 1)
    assert (record.number, record.status, record.score, record.parameters) == (1, "done", 1.5, {"gain": 2.0})
    assert record.work_dir == str(tmp_path / "sweep" / "runs" / "1") and record.seconds >= 0


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("raise ValueError('too hot')", "exit code 1: ValueError: too hot"),
        ("print('{\"loss\": 1}')", "the result has no 'cider': available: loss"),
        ("print('bye')", "expected one JSON object as the last line of stdout, found 'bye'"),
    ],
)
def test_a_run_that_failed_says_why(launcher, code, error):
    record = concluded(launcher(code))
    assert (record.status, record.score, record.error) == ("failed", None, error)


def test_a_run_that_was_pruned_counts_as_its_last_evaluation(launcher):
    run = launcher("raise SystemExit(1)")
    (folder := run.folder.run(0)).mkdir(parents=True)
    (folder / "metrics.jsonl").write_text(
        '{"step": 5, "evaluation/cider": 0.25}\n{"step": 9, "evaluation/cider": 0.125}\n'
    )
    record = concluded(run, pruned=True)
    assert (record.status, record.score, record.error) == ("pruned", 0.125, None)
    assert record.evaluations == ((5, 0.25), (9, 0.125))


def test_python_means_the_interpreter_of_the_sweep(launcher, monkeypatch):
    monkeypatch.setenv("PATH", "")
    code = "import json, sys; print(json.dumps({'cider': 0, 'with': sys.executable}))"
    assert concluded(launcher(code)).result["with"] == sys.executable


def test_the_user_is_told_on_stderr(capsys):
    say("run 3 starts")
    out, err = capsys.readouterr()
    assert out == "" and err.endswith(" run 3 starts\n")


def test_a_start_is_told_with_the_parameters(launcher, capsys):
    concluded(launcher(), 3)
    concluded(launcher(), 3, resume=True)
    err = capsys.readouterr().err
    assert "run 3 starts: {'gain': 2.0}\n" in err and "run 3 continues: {'gain': 2.0}\n" in err
    assert json.loads((launcher().folder.run(3) / "stdout.log").read_text())["cider"] == 1.5
