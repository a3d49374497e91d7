"""Where a process computes, which of the others it is, and what all of them agree on."""

from __future__ import annotations

import json

import pytest
import torch
from ofakit import processes
from ofakit.errors import UsageError
from ofakit.processes import Processes, device_named, join_processes, joined_processes, launched_rank, leave_processes
from torch import distributed

from tests.two_processes import run_two

TWO = """
import json
import sys
from pathlib import Path

from ofakit.processes import join_processes, joined_processes, launched_rank

mine = join_processes("cpu")
found = {
    "place": [mine.rank, mine.world_size, mine.is_main, launched_rank(), joined_processes().rank],
    "total": mine.total([1.0 + mine.rank, 1.0 + 2.0**-40]),
    "gather": mine.gather({"rank": mine.rank}),
}
mine.wait()
Path(sys.argv[1], f"{mine.rank}.json").write_text(json.dumps(found))
"""

IN_FLIGHT = """
import atexit
import sys
import time

import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

from ofakit.processes import join_processes


class Run:
    pass


class SlowToEnd:
    def __del__(self, sleep=time.sleep):
        sleep(1)


@atexit.register
def be_busy():
    until = time.monotonic() + 1.5
    while time.monotonic() < until:
        pass


mine, slow, run = join_processes("cpu"), SlowToEnd(), Run()
run.module, run.itself = DistributedDataParallel(nn.Linear(2, 2)), run
del run
distributed.barrier()
sys.setswitchinterval(100)
if mine.rank == 0:
    time.sleep(0.5)
distributed.all_reduce(torch.ones(3), async_op=True)
"""
"""In rank 1 a thread of gloo waits for the interpreter, to give back a tensor, when Python ends: unless the threads end
before, this aborts the process, and not just rarely."""


def test_the_cpu_is_always_there():
    assert device_named("cpu") == torch.device("cpu")


@pytest.mark.parametrize("name", ["tpu", "cuda:99", "gpu:99", "cpu:3", "cuda:x"])
def test_a_device_that_is_not_there_is_refused_by_name(name):
    with pytest.raises(UsageError, match=f"'{name}' is not available on this machine; it has cpu"):
        device_named(name)


def test_a_process_takes_its_own_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert device_named() == device_named("gpu") == device_named("cuda") == torch.device("cuda", 1)
    assert device_named("gpu:0") == torch.device("cuda", 0)
    monkeypatch.setenv("LOCAL_RANK", "2")
    with pytest.raises(UsageError, match="it has cpu, cuda:0, cuda:1"):
        device_named()


@pytest.mark.parametrize(("rank", "is_main"), [(0, True), (1, False)])
def test_rank_0_is_the_main_process(rank, is_main):
    assert Processes(rank, 2, torch.device("cpu")).is_main is is_main


def test_one_process_is_alone(monkeypatch):
    for name in ("RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    alone = join_processes("cpu")
    assert alone == joined_processes("cpu") == Processes(0, 1, torch.device("cpu"))
    assert alone.total([1.5, 2.0]) == [1.5, 2.0]
    assert alone.gather("mine") == ["mine"]
    alone.wait()


def test_the_rank_is_known_before_the_processes_have_joined(monkeypatch):
    monkeypatch.setenv("RANK", "3")
    assert launched_rank() == 3
    monkeypatch.delenv("RANK")
    assert launched_rank() == 0


def test_two_processes_add_up_and_gather_in_the_order_of_their_ranks(tmp_path):
    run_two(TWO, tmp_path)
    for rank in range(2):
        found = json.loads((tmp_path / f"{rank}.json").read_text())
        assert found["place"] == [rank, 2, rank == 0, rank, rank]
        # The second sum needs double precision.
        assert found["total"] == [3.0, 2.0 + 2.0**-39]
        assert found["gather"] == [{"rank": 0}, {"rank": 1}]


def test_a_mac_has_its_gpu_by_its_name_alone(monkeypatch):
    with pytest.raises(UsageError, match="'mps' is not available on this machine; it has cpu"):
        device_named("mps")
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert device_named("mps") == torch.device("mps") and device_named() == torch.device("cpu")
    monkeypatch.setattr(processes, "_place", torch.device("cpu"))
    assert joined_processes().device.type == "cpu"
    assert join_processes("mps") == joined_processes() == Processes(0, 1, torch.device("mps"))
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UsageError, match="mps supports one process, but torchrun has started 2"):
        join_processes("mps")


def test_no_thread_of_gloo_is_met_by_the_end_of_python(tmp_path):
    run_two(IN_FLIGHT, tmp_path, leave="")


def test_processes_that_somebody_else_has_joined_are_not_left(tmp_path, monkeypatch):
    distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/meet", rank=0, world_size=1)
    try:
        monkeypatch.setenv("WORLD_SIZE", "2")
        join_processes("cpu")
        leave_processes()
        assert distributed.is_initialized()
    finally:
        distributed.destroy_process_group()
    leave_processes()
