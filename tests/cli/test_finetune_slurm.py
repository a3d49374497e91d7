"""tools/slurm/finetune.sbatch with stand-ins for Slurm: a job that is stopped often ends as an undisturbed one.

OFAKIT_STOPS says how often it is stopped: 2 times where it is not set.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from .small_runs import ROOT, TRAIN, arguments, same_weights, start, wait_for_steps

SCRIPT = ROOT / "tools" / "slurm" / "finetune.sbatch"
STOPS = int(os.environ.get("OFAKIT_STOPS", "2"))
SCONTROL = """#!/usr/bin/env bash
case $1 in
    show) [ "$2" = hostnames ] && echo 127.0.0.1 || echo "JobId=$3 JobState=${JOB_STATE:-RUNNING}" ;;
    requeue) echo "$2" >>"$JOBS/requeued" ;;
esac
"""
SRUN = """#!/usr/bin/env python3
# Starts the tasks of a job, hands on signals, and ends with the largest exit code.
import os, signal, subprocess, sys
command = [part for part in sys.argv[1:] if not part.startswith("--kill")]
count = int(os.environ["SLURM_NTASKS"])
tasks = [
    subprocess.Popen(command, env={**os.environ, "SLURM_PROCID": str(n), "SLURM_LOCALID": str(n)}) for n in range(count)
]
for number in (signal.SIGTERM, signal.SIGUSR1):
    signal.signal(number, lambda heard, _: [task.send_signal(heard) for task in tasks])
codes = [task.wait() for task in tasks]
sys.exit(max(code if code >= 0 else 128 - code for code in codes))
"""


@pytest.fixture
def slurm(tmp_path):
    """Starts the script as a job of so many tasks; `requeued()` says how often it was queued again."""
    jobs = tmp_path / "jobs"
    jobs.mkdir()
    for name, text in (("scontrol", SCONTROL), ("srun", SRUN)):
        (jobs / name).write_text(text)
        (jobs / name).chmod(0o755)

    def run(arguments, tasks=1, **variables):
        about = {"SLURM_JOB_ID": "41", "SLURM_NTASKS": str(tasks), "SLURM_JOB_NODELIST": "node[1-2]", "JOBS": str(jobs)}
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "plugins"), **about, **variables}
        environment["PATH"] = f"{jobs}:{os.environ['PATH']}"
        environment["OFAKIT"] = f"{sys.executable} -m ofakit"
        log = open(tmp_path / "log", "ab")  # noqa: SIM115 (the job's)
        return subprocess.Popen(["bash", SCRIPT, *arguments], env=environment, stdout=log, stderr=log)

    def requeued():
        path = jobs / "requeued"
        return path.read_text().split().count("41") if path.exists() else 0

    run.requeued, run.log = requeued, tmp_path / "log"
    return run


def steps_of(work_dir):
    path = work_dir / "metrics.jsonl"
    return path.read_text().count('"loss"') if path.exists() else 0


def test_a_job_that_is_stopped_ends_as_an_undisturbed_one(slurm, tmp_path):
    steps = 25 * STOPS
    given = arguments(tmp_path / "run", steps)
    given.remove("--resume"), given.remove("auto")
    for stop in range(STOPS):
        job = slurm(given)
        wait_for_steps(job, tmp_path / "run", 1 + steps_of(tmp_path / "run"))
        job.send_signal(signal.SIGUSR1 if stop % 5 == 1 else signal.SIGTERM)
        assert job.wait(120) == 0, slurm.log.read_text()
        assert slurm.requeued() == stop + 1
    assert slurm(given).wait(240) == 0 and slurm.requeued() == STOPS
    assert "Traceback" not in slurm.log.read_text()
    assert start([TRAIN, *arguments(tmp_path / "whole", steps)], tmp_path / "whole.log").wait(240) == 0
    assert same_weights(tmp_path / "whole", tmp_path / "run")


def test_several_tasks_find_each_other(slurm, tmp_path):
    job = slurm([*arguments(tmp_path / "run", 3), "--set", "train.timeout_minutes=2"], tasks=2)
    assert job.wait(240) == 0, slurm.log.read_text()
    assert slurm.requeued() == 0 and (tmp_path / "run" / "output").is_dir()
    assert "terminate called" not in slurm.log.read_text()


def test_a_cancelled_job_and_one_that_failed_are_not_queued_again(slurm, tmp_path):
    assert slurm(["--conf", str(tmp_path / "none.json")]).wait(60) == 2
    job = slurm(arguments(tmp_path / "run"), JOB_STATE="CANCELLED")
    wait_for_steps(job, tmp_path / "run", 1)
    job.send_signal(signal.SIGTERM)
    assert job.wait(120) == 143 and slurm.requeued() == 0
    assert "was cancelled" in slurm.log.read_text()


def test_without_arguments_or_slurm_it_says_how_it_is_used(slurm):
    assert slurm([]).wait(60) == 2
    assert slurm(["--conf", "x"], SLURM_JOB_ID="").wait(60) == 2
    assert slurm.log.read_text().count("usage: sbatch") == 2
