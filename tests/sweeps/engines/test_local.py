"""Runs on this machine: records, failures, interruption, kill -9, room for one sweep a folder."""

from __future__ import annotations

import csv
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from ofakit.errors import OfakitError, UsageError

TOOL = Path(__file__).parents[3] / "tools" / "sweep.py"


def rows(folder: Path) -> list[dict[str, str]]:
    with open(folder / "results.csv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_every_run_is_done_and_the_best_is_told(run, tmp_path):
    result = run()
    assert [r["parameters"] for r in result["runs"]] == [{"gain": 1.0}, {"gain": 3.0}, {"gain": 2.0}]
    assert [r["cider"] for r in result["runs"]] == [3.0, 9.0, 6.0]
    assert result["best"] == result["runs"][1]
    assert result["best"]["work_dir"] == str(tmp_path / "sweep" / "runs" / "1")
    assert [row["cider"] for row in rows(tmp_path / "sweep")] == ["3.0", "9.0", "6.0"]


def test_the_least_can_be_best_and_the_metric_can_lie_deeper(run):
    assert run(metric="stages.-1.cider", rule="min")["best"]["stages.-1.cider"] == 1.5


def test_what_is_done_is_not_repeated_and_another_metric_needs_no_run(run, starts_of):
    run()
    result = run(metric="loss", rule="max")
    assert result["best"]["parameters"] == {"gain": 1.0}
    assert [len(starts_of(number)) for number in range(3)] == [1, 1, 1]


def test_a_failed_run_is_recorded_and_the_others_go_on(run, tmp_path):
    result = run(set={"fail": "no memory", "fail_at": 2}, parameters={"gain": [1.0, 2.0], "fail_at": [2, 99]})
    assert [r["status"] for r in result["runs"]] == ["failed", "done", "failed", "done"]
    assert result["runs"][0]["error"] == "exit code 1: RuntimeError: no memory"
    assert result["runs"][0]["cider"] is None
    assert rows(tmp_path / "sweep")[2]["error"] == "exit code 1: RuntimeError: no memory"
    assert result["best"]["number"] == 3


def test_a_result_without_the_metric_is_a_failure_that_names_what_there_is(run):
    with pytest.raises(OfakitError, match="the result has no 'spice'.*cider"):
        run(metric="spice")


def test_failures_in_a_row_stop_the_sweep_and_it_goes_on_behind_them(run, starts_of):
    keys = {"parameters": {"fail_at": [1, 1, 99, 1, 1]}, "set": {"fail": "boom"}, "max_failures": 2}
    with pytest.raises(OfakitError, match="the last 2 runs failed.*RuntimeError: boom.*--retry-failed"):
        run(**keys)
    assert [len(starts_of(number)) for number in range(5)] == [1, 1, 0, 0, 0]
    with pytest.raises(OfakitError, match="the last 2 runs failed"):
        run(**keys)
    assert [len(starts_of(number)) for number in range(5)] == [1, 1, 1, 1, 1]
    assert run(**keys)["best"]["number"] == 2


def test_failed_runs_can_be_tried_again_from_their_snapshots(run, tmp_path, starts_of):
    run(parameters={"fail_at": [3, 99]}, set={"fail": "boom"})
    state = tmp_path / "sweep" / "runs" / "0" / "checkpoints" / "step_3" / "state.json"
    state.parent.mkdir()
    state.write_text(json.dumps({"step": 3, "level": 3.0}))
    result = run(parameters={"fail_at": [3, 99]}, set={"fail": "boom"}, retry_failed=True)
    assert [r["status"] for r in result["runs"]] == ["done", "done"]
    assert [(s["resume"], s["from"]) for s in starts_of(0)] == [(False, 0), (True, 3)]
    assert len(starts_of(1)) == 1


def test_runs_at_once_share_the_threads(run, monkeypatch, starts_of):
    monkeypatch.setenv("OMP_NUM_THREADS", "6")
    run(parallel=3)
    assert [starts_of(number)[0]["threads"] for number in range(3)] == ["2", "2", "2"]


def test_parallel_runs_overlap(run, tmp_path):
    # Each run waits for the other's file: one after the other they would wait forever and fail.
    code = (
        "import json, pathlib, sys, time\n"
        "me = pathlib.Path([a for a in sys.argv if a.startswith('work_dir=')][0][9:])\n"
        "(me / 'here').touch()\n"
        "other = me.parent / ('1' if me.name == '0' else '0') / 'here'\n"
        "for _ in range(2000):\n"
        "    if other.exists():\n"
        "        break\n"
        "    time.sleep(0.01)\n"
        "else:\n"
        "    raise SystemExit('alone')\n"
        "print(json.dumps({'cider': 1.0}))\n"
    )
    result = run(parallel=2, command=[sys.executable, "-c", code], parameters={"gain": [1, 2]})
    assert [r["status"] for r in result["runs"]] == ["done", "done"]


def test_only_the_best_run_keeps_its_weights(run, tmp_path):
    run(keep_weights="best")
    kept = {path.parent.name for path in (tmp_path / "sweep" / "runs").glob("*/best")}
    assert kept == {"1"} == {path.parent.name for path in (tmp_path / "sweep" / "runs").glob("*/checkpoints")}
    assert len(list((tmp_path / "sweep" / "runs").glob("*/metrics.jsonl"))) == 3


def test_a_folder_of_another_sweep_is_refused(run):
    run()
    with pytest.raises(UsageError, match="belongs to another sweep: parameters was .*3.0.* and is .*4.0"):
        run(parameters={"gain": [4.0]})


def test_more_random_runs_are_added(run, starts_of):
    keys = {"parameters": {"gain": {"low": 0, "high": 1}}}
    first = run(search={"type": "random", "runs": 2}, **keys)
    second = run(search={"type": "random", "runs": 4}, **keys)
    assert second["runs"][:2] == first["runs"]
    assert [len(starts_of(number)) for number in range(4)] == [1, 1, 1, 1]


def test_two_sweeps_do_not_share_a_folder(run, tmp_path):
    (tmp_path / "sweep").mkdir()
    with open(tmp_path / "sweep" / ".sweep.lock", "a", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(UsageError, match="another sweep is using"):
            run()


def test_an_engine_that_is_not_there_and_a_search_that_does_not_go_with_it(run):
    with pytest.raises(UsageError, match="unknown engine 'lokal': did you mean 'local'"):
        run(engine="lokal")
    with pytest.raises(UsageError, match="the search type 'asha' needs --engine ray, found 'local'"):
        run(search={"type": "asha", "runs": 2, "max_steps": 3, "grace_steps": 1})


def test_without_optuna_the_cure_is_named(run, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(UsageError, match=r'needs Optuna.*pip install "ofakit\[sweeps\]"'):
        run(search={"type": "tpe", "runs": 2})


def test_a_run_that_is_ended_from_outside_has_not_failed(run, tmp_path, starts_of):
    code = "import os, signal; os.kill(os.getpid(), signal.SIGTERM)"
    with pytest.raises(OfakitError, match="run 0 was ended from outside"):
        run(command=[sys.executable, "-c", code])
    assert (tmp_path / "sweep" / "runs.jsonl").read_text() == ""


def kill_when(process: subprocess.Popen, is_time) -> None:
    """End a sweep as a machine does, at the moment that a condition holds."""
    for _ in range(6000):
        if is_time():
            break
        assert process.poll() is None, "the sweep ended before it was killed"
        time.sleep(0.005)
    else:
        raise TimeoutError("the moment to kill the sweep did not come")
    process.send_signal(signal.SIGKILL)
    process.wait()


def test_twelve_runs_killed_twice_end_with_twelve_rows_and_none_is_repeated(write_sweep, tmp_path, starts_of):
    path = write_sweep(
        parameters={"gain": [1, 2, 3], "fail_at": [None, 1, 2, 3]}, set={"train.max_steps": 4, "seconds_a_step": 0.04}
    )
    folder = tmp_path / "sweep"
    command = [sys.executable, str(TOOL), "--conf", str(path)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}

    def ended() -> int:
        return len((folder / "runs.jsonl").read_text().splitlines()) if (folder / "runs.jsonl").exists() else 0

    def snapshots(number: int) -> int:
        return len(list((folder / "runs" / str(number) / "checkpoints").glob("step_*/state.json")))

    before = {}
    for runs in (3, 7):
        sweep = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
        # In the middle of a run, with a snapshot of it there.
        kill_when(sweep, lambda runs=runs: ended() >= runs and 2 <= snapshots(ended()) < 4)
        records = (folder / "runs.jsonl").read_text().splitlines()
        before.update({json.loads(line)["number"]: line for line in records})
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    result = json.loads(done.stdout.splitlines()[-1])
    assert len(result["runs"]) == 12 == len(rows(folder))
    assert [r["cider"] for r in result["runs"]] == [4 * gain for gain in (1, 2, 3) for _ in range(4)]
    after = {json.loads(line)["number"]: line for line in (folder / "runs.jsonl").read_text().splitlines()}
    assert {number: after[number] for number in before} == before
    resumed = [number for number in range(12) if len(starts_of(number)) > 1]
    assert len(resumed) == 2
    for number in resumed:
        assert starts_of(number)[1]["resume"] and starts_of(number)[1]["from"] >= 1
