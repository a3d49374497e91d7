"""Nodes that come and go: two agents of torchrun on one machine, of which one is lost, or joins, during a run."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import time
from contextlib import contextmanager
from pathlib import Path

from ofakit.trainers.state import latest_snapshot, read_plain

from .small_runs import HOOKS, TRAIN, arguments, start, wait_for_steps

STEPS = 100
FEW_STEPS = 40
NO_SNAPSHOTS = [HOOKS[0], {"type": "SnapshotHook", "save_strategy": "by_step", "interval": FEW_STEPS}]
OWN_STORE = {"TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1"}  # docs/scaling-training.md says why


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def agent(port, is_host, work_dir, log, restarts=5, last_call=30, steps=STEPS, hooks=HOOKS):
    """One node with one process, which begins alone where no other has come `last_call` seconds later."""
    elastic = ["--nnodes=1:2", "--nproc_per_node=1", f"--max-restarts={restarts}", "--rdzv-backend=c10d"]
    conf = f"is_host={is_host},last_call_timeout={last_call},read_timeout=300"
    where = [f"--rdzv-endpoint=127.0.0.1:{port}", "--rdzv-id=run", f"--rdzv-conf={conf}", "--local-addr=127.0.0.1"]
    settings = {"train.examples_per_step": 8, "train.timeout_minutes": 2, "train.dataloader.batch_size_per_gpu": 4}
    command = ["-m", "torch.distributed.run", *elastic, *where, TRAIN, *arguments(work_dir, steps, hooks, **settings)]
    return start(command, log, OWN_STORE)


def steps_of(work_dir):
    """The steps that a run has written down."""
    path = work_dir / "metrics.jsonl"
    return [json.loads(line)["step"] for line in path.read_text().splitlines()] if path.exists() else []


def started_by(run):
    """The processes that an agent has started."""
    return [int(process) for process in Path(f"/proc/{run.pid}/task/{run.pid}/children").read_text().split()]


def end(run):
    """Kill an agent and the processes that it has started, as a node that is lost."""
    if run.poll() is None:
        for process in (run.pid, *started_by(run)):
            os.kill(process, signal.SIGKILL)
    run.wait()


@contextmanager
def paused(process):
    """Time stands still for a process, which gets the signals sent to it only afterwards."""
    os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(process, signal.SIGCONT)


def is_sent(process, number):
    """Whether a signal has been sent to a process that is paused."""
    status = Path(f"/proc/{process}/status").read_text(encoding="utf-8")
    return bool(int(re.search(r"ShdPnd:\s*(\w+)", status)[1], 16) >> (number - 1) & 1)


def test_a_run_goes_on_with_one_node_where_the_other_is_lost(tmp_path):
    port, work_dir, logs = free_port(), tmp_path / "run", [tmp_path / "first.log", tmp_path / "second.log"]
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


def test_a_run_goes_on_with_two_nodes_where_another_joins(tmp_path):
    """No snapshot is due before the end and no restart is allowed: it goes on from the snapshot taken at its stop."""
    port, work_dir, logs = free_port(), tmp_path / "run", [tmp_path / "first.log", tmp_path / "second.log"]
    settings = {"restarts": 0, "last_call": 3, "steps": FEW_STEPS, "hooks": NO_SNAPSHOTS}
    agents = [agent(port, 1, work_dir, logs[0], **settings)]
    try:
        wait_for_steps(agents[0], work_dir, 3)
        (process,) = started_by(agents[0])
        with paused(process):
            agents.append(agent(port, 0, work_dir, logs[1], **settings))
            while not is_sent(process, signal.SIGTERM):
                assert all(each.poll() is None for each in agents), [log.read_text() for log in logs]
                time.sleep(0.1)
        assert [each.wait(240) for each in agents] == [0, 0], [log.read_text() for log in logs]
    finally:
        for each in agents:
            end(each)
    told = "".join(log.read_text() for log in logs)
    stop = re.search(r"stopped by SIGTERM after step (\d+);", told)[1]
    assert re.search(rf"resuming from \S+/step_{stop}:", told) and "cpu x 2 processes" in told
    assert steps_of(work_dir) == list(range(1, FEW_STEPS + 1))
    state = read_plain(latest_snapshot(work_dir))
    assert len(state["random"]) == 2 and state["batches"] == {"batch_size": 4, "accumulation": 1, "halvings": 0}
