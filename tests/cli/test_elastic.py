"""Nodes that come and go: two agents of torchrun on one machine, of which one is lost in the middle of the run."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from pathlib import Path

from ofakit.trainers.state import latest_snapshot, read_plain

from .small_runs import TRAIN, arguments, start, wait_for_steps

STEPS = 100


def agent(port, is_host, work_dir, log):
    """One node with one process; the run goes on with one node where there are no two."""
    elastic = ["--nnodes=1:2", "--nproc_per_node=1", "--max-restarts=5", "--rdzv-backend=c10d", "--rdzv-id=run"]
    conf = f"is_host={is_host},last_call_timeout=30,read_timeout=300"
    where = [f"--rdzv-endpoint=127.0.0.1:{port}", f"--rdzv-conf={conf}", "--local-addr=127.0.0.1"]
    settings = {"train.examples_per_step": 8, "train.timeout_minutes": 2, "train.dataloader.batch_size_per_gpu": 4}
    command = ["-m", "torch.distributed.run", *elastic, *where, TRAIN, *arguments(work_dir, STEPS, **settings)]
    return start(command, log)


def steps_of(work_dir):
    """The steps that a run has written down."""
    path = work_dir / "metrics.jsonl"
    return [json.loads(line)["step"] for line in path.read_text().splitlines()] if path.exists() else []


def end(run):
    """Kill an agent and the processes that it has started, as a node that is lost."""
    if run.poll() is None:
        started = Path(f"/proc/{run.pid}/task/{run.pid}/children").read_text().split()
        for process in (run.pid, *map(int, started)):
            os.kill(process, signal.SIGKILL)
    run.wait()


def test_a_run_goes_on_with_one_node_where_the_other_is_lost(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    work_dir, logs = tmp_path / "run", [tmp_path / "first.log", tmp_path / "second.log"]
    first, second = (agent(port, is_host, work_dir, log) for is_host, log in zip((1, 0), logs, strict=True))
    try:
        while not any("cpu x 2 processes" in log.read_text() for log in logs) or not list(work_dir.glob("*/step_*")):
            assert first.poll() is None, logs[0].read_text()
            time.sleep(0.1)
        wait_for_steps(first, work_dir, len(steps_of(work_dir)) + 3, seconds=600)
        end(second)
        assert first.wait(600) == 0, logs[0].read_text()
    finally:
        end(first)
        end(second)
    assert "resuming from" in logs[0].read_text() and steps_of(work_dir) == list(range(1, STEPS + 1))
    state = read_plain(latest_snapshot(work_dir))
    assert len(state["random"]) == 1 and state["batches"] == {"batch_size": 4, "accumulation": 2, "halvings": 0}
    assert state["fixed"]["train.examples_per_step"] == 8
