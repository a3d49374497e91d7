"""What tests of several processes share: starting two of them, and the gradients that an update would use."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import torch
from ofakit.processes import Processes
from ofakit.trainers.update import Updater, WeightedObjectives

ONE = Processes(0, 1, torch.device("cpu"))
ROOT = Path(__file__).resolve().parents[1]


LEAVE = """
import os, sys
from torch import distributed
if distributed.is_initialized():
    distributed.barrier()
sys.stdout.flush()
sys.stderr.flush()
os._exit(0)
"""
"""What is under test has ended here; gloo's threads, met by the interpreter's own end, may abort the process."""

ENDED = """
from pathlib import Path
from ofakit.processes import leave_processes
leave_processes()
threads = [path.read_text().strip() for path in Path("/proc/self/task").glob("*/comm")]
assert not any("gloo" in name for name in threads), threads
"""
"""Where nothing holds the process group any more: its threads have ended, as far as the system names them."""


def run_two(script, folder, *arguments, leave=LEAVE):
    """Run a script in two processes that find each other over gloo; its arguments are the folder and what follows.

    `leave` is what they end with, before Python itself ends: nothing, or `ENDED`, where that is under test.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (folder / "two.py").write_text(script + leave)
    command = [sys.executable, folder / "two.py", folder, *arguments]
    world = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "OMP_NUM_THREADS": "1"}
    environment = {**os.environ, **world, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
    runs = [subprocess.Popen(command, env={**environment, "RANK": str(rank)}) for rank in range(2)]
    assert [run.wait(300) for run in runs] == [0, 0]


def plain_updater(model, objectives, weights, processes):
    """Steps of SGD in fp32 without clipping."""
    optimizer = torch.optim.SGD(model.parameters(), 1e-3)
    module = WeightedObjectives(model, objectives, weights, "fp32")
    return Updater(module, optimizer, torch.optim.lr_scheduler.ConstantLR(optimizer, 1.0), processes, None, 3)


def update_gradients(updater, batches, step):
    """The gradients just before the optimizer uses them, clipping left out."""
    updater.clip_norm = None
    found = {}

    def keep(*_):
        found.update({n: p.grad.clone() for n, p in updater.model.named_parameters() if p.grad is not None})

    handle = updater.optimizer.register_step_pre_hook(keep)
    updater(batches, step)
    handle.remove()
    return found
