"""A run that is asked to stop writes a snapshot, says how to go on, and goes on bit for bit."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
import torch
from modelscope.trainers.hooks.hook import Hook
from ofakit.errors import RunStopped
from ofakit.trainers import stop_request
from ofakit.trainers.state import latest_snapshot
from ofakit.trainers.stop_request import StopRequest, seconds_left_in_slurm

from .conftest import trained, weights

CODES = [(signal.SIGTERM, 143), (signal.SIGUSR1, 143), (signal.SIGINT, 130)]
RARE = [
    {"type": "MetricsFileHook", "interval": 1},
    {"type": "SnapshotHook", "save_strategy": "by_step", "interval": 99},
]


class Send(Hook):
    """Sends this process a signal before a step."""

    def __init__(self, number, step):
        self.number, self.step = number, step

    def before_train_iter(self, trainer):
        if trainer.iter + 1 == self.step:
            signal.raise_signal(self.number)


@pytest.mark.parametrize("number, code", CODES)
def test_a_signal_ends_the_step_and_the_run_goes_on_from_there(experiment, number, code):
    before = signal.getsignal(number)
    whole = trained(experiment("whole"))
    config = experiment("parts", train={"hooks": RARE})
    name = signal.Signals(number).name
    with pytest.raises(RunStopped, match=f"stopped by {name} after step 4; continue .* --resume auto") as stopped:
        trained(config, callbacks=[Send(number, 4)])
    assert stopped.value.exit_code == code and signal.getsignal(number) is before
    snapshot = latest_snapshot(Path(config.work_dir))
    assert snapshot.name == "step_4"
    resumed = trained(config, str(snapshot))
    assert all(torch.equal(value, weights(resumed)[key]) for key, value in weights(whole).items())


def test_an_evaluation_after_an_epoch_is_ended_at_once_and_repeated(experiment, monkeypatch):
    hooks = [{"type": "EvaluationHook"}, *RARE]
    whole = trained(experiment("whole", train={"hooks": hooks}))
    config = experiment("parts", train={"hooks": hooks})
    with monkeypatch.context() as patched:

        def evaluate(*args):
            torch.manual_seed(5)
            signal.raise_signal(signal.SIGTERM)
            raise AssertionError("went on")

        patched.setattr("ofakit.tasks.captioning.Captioning.evaluate", evaluate)
        with pytest.raises(RunStopped, match="SIGTERM in an evaluation, which will be repeated"):
            trained(config)
    snapshot = latest_snapshot(Path(config.work_dir))
    assert snapshot.name == "step_3"
    resumed = trained(config, str(snapshot))
    assert resumed.evaluations == whole.evaluations == 2
    assert all(torch.equal(value, weights(resumed)[key]) for key, value in weights(whole).items())


def test_the_time_limit_ends_a_run(experiment):
    config = experiment(train={"hooks": RARE, "time_limit": 1e-6})
    with pytest.raises(RunStopped, match="stopped by the time limit after step 1") as stopped:
        trained(config)
    assert stopped.value.exit_code == 143 and latest_snapshot(Path(config.work_dir)).name == "step_1"


def test_snapshots_are_written_by_minutes_too(experiment):
    hook = {"type": "SnapshotHook", "minutes": 1e-9, "interval": 0, "save_last": False, "max_checkpoint_num": None}
    trainer = trained(experiment(train={"hooks": [hook], "max_steps": 3}))
    names = {path.name for path in (Path(trainer.work_dir) / "checkpoints").iterdir()}
    assert names == {"step_1", "step_2", "step_3"}


SECOND = """
    import os, signal, time
    from ofakit.trainers.stop_request import StopRequest
    with StopRequest(None, 0.0) as request:
        signal.raise_signal(signal.SIGUSR1)
        assert request.reason == "SIGUSR1"
        child = os.fork()
        if child == 0:
            signal.raise_signal(signal.SIGINT)
            os._exit(7)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
        signal.raise_signal(signal.SIGINT)
        time.sleep(60)
"""


def test_a_second_signal_ends_at_once_and_forked_loaders_go_on():
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(SECOND)], capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stderr) == (130, "")


def test_the_clock_counts_what_a_step_and_a_snapshot_need():
    request = StopRequest(100.0, time.perf_counter())
    request.look_at_the_clock(50.0)
    assert request.reason is None
    request.look_at_the_clock(101.0)
    assert request.reason == "the time limit"
    forever = StopRequest(None, 0.0)
    forever.look_at_the_clock(1e9)
    assert forever.reason is None


def test_slurm_says_how_long_a_job_may_run(monkeypatch, tmp_path):
    assert seconds_left_in_slurm({}) is None
    monkeypatch.setattr(stop_request.time, "time", lambda: 1000.0)
    assert seconds_left_in_slurm({"SLURM_JOB_ID": "7", "SLURM_JOB_END_TIME": "4600"}) == 3540
    squeue = tmp_path / "squeue"
    squeue.write_text('#!/bin/sh\n[ "$3" = 7 ] && echo 1-00:00:30 || echo UNLIMITED\n')
    squeue.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert seconds_left_in_slurm({"SLURM_JOB_ID": "7"}) == 86400 + 30 - 60
    assert seconds_left_in_slurm({"SLURM_JOB_ID": "8"}) is None
    monkeypatch.setenv("PATH", "/nowhere")
    assert seconds_left_in_slurm({"SLURM_JOB_ID": "7"}) is None
