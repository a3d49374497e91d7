"""This process among those of a run started by torchrun: its rank, its device, and sums over all of them."""

from __future__ import annotations

import atexit
import gc
import importlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
from torch import distributed

from ofakit.errors import UsageError

__all__ = [
    "Processes",
    "alone",
    "device_named",
    "join_processes",
    "joined_processes",
    "launched_rank",
    "leave_processes",
]

_alone = False
_joined_here = False
_place = torch.device("cpu")

LONGEST_WAIT = 120.0
"""Minutes for a process that decodes images, scores or saves while the others wait."""


@dataclass(frozen=True)
class Processes:
    """One process's place in the run.

    Attributes:
        rank: From 0 to world_size - 1; rank 0 writes files and logs.
        world_size: How many processes train together.
        device: Where this one computes.
    """

    rank: int
    world_size: int
    device: torch.device

    @property
    def is_main(self) -> bool:
        """Whether this process writes files and logs."""
        return self.rank == 0

    def total(self, values: list[float]) -> list[float]:
        """Element-wise sums over all processes, in double precision.

        Args:
            values: This process's numbers; every process gives as many.
        """
        if self.world_size == 1:
            return values
        numbers = torch.tensor(values, dtype=torch.float64, device=self.device)
        distributed.all_reduce(numbers)
        return numbers.tolist()

    def gather(self, item: Any) -> list[Any]:
        """Every process's item, in rank order.

        Args:
            item: Anything picklable.
        """
        if self.world_size == 1:
            return [item]
        items: list[Any] = [None] * self.world_size
        distributed.all_gather_object(items, item)
        return items

    def gather_rows(self, rows: torch.Tensor) -> list[torch.Tensor]:
        """Every process's rows, in rank order, without gradient.

        Args:
            rows: `(n, …)` on this process's device; n may differ between processes, the rest of the shape and the type
                may not.
        """
        rows = rows.detach()
        if self.world_size == 1:
            return [rows]
        counts = self.gather(len(rows))
        sent = rows.to(torch.uint8) if rows.dtype == torch.bool else rows
        padded = sent.new_zeros((max(counts), *rows.shape[1:]))
        padded[: len(rows)] = sent
        parts = [torch.empty_like(padded) for _ in counts]
        distributed.all_gather(parts, padded)
        return [part[:count].to(rows.dtype) for part, count in zip(parts, counts, strict=True)]

    def wait(self) -> None:
        """Return when every process has come here."""
        if self.world_size > 1:
            distributed.barrier()


def join_processes(device: str | None = None, minutes: float = LONGEST_WAIT) -> Processes:
    """Join the other processes that torchrun started, over nccl on GPUs and over gloo elsewhere.

    Args:
        device: "cpu", "cuda", "cuda:1" or "mps"; None takes this process's GPU of NVIDIA or AMD where there is one.
        minutes: How long one waits for the others before it fails.

    Raises:
        UsageError: There is no such device here, or several processes cannot train on it together.
    """
    global _place
    world_size = int(os.environ.get("WORLD_SIZE", "1"))
    _place = place = device_named(device)
    if place.type == "cuda":
        torch.cuda.set_device(place)
    if place.type == "mps" and world_size > 1:
        raise UsageError(
            f"the device mps supports one process, but torchrun has started {world_size}; choose --device cpu"
        )
    if world_size > 1 and not distributed.is_initialized():
        _join("nccl" if place.type == "cuda" else "gloo", timedelta(minutes=minutes))
    return Processes(launched_rank(), world_size, place)


def _join(backend: str, wait: timedelta) -> None:
    """Begin the process group, and end it before Python ends.

    The functions that are imported first, as DDP does later, have the group that there is by then as a default, and
    would hold it for good.
    """
    global _joined_here
    importlib.import_module("torch.distributed.nn.functional")
    distributed.init_process_group(backend, timeout=wait)
    _joined_here = True
    atexit.register(leave_processes)


def leave_processes() -> None:
    """Part from the other processes that `join_processes` has joined; whoever ends a program calls it, or Python's end.

    The threads of gloo give back the tensors they were sent, for which they wait for the interpreter; one that waits
    when it ends aborts the process. They end with the process group, which lasts as long as anything holds it. DDP and
    FSDP do, and are often part of a cycle. These go first, since the group ends well only with Python's own hold on it:
    that alone lets the threads have the interpreter until they have ended.

    Source: https://github.com/pytorch/pytorch/issues/190489.
    """
    global _joined_here
    if _joined_here and distributed.is_initialized():
        gc.collect()
        distributed.destroy_process_group()
    _joined_here = False


def device_named(name: str | None = None) -> torch.device:
    """Where to compute.

    Args:
        name: "cpu", "cuda", "gpu", "cuda:1" or "mps", the GPU of a Mac; None takes this process's GPU of NVIDIA or AMD
            where there is one, and else the CPU.

    Raises:
        UsageError: There is no such device here.
    """
    place = str(name or ("cuda" if torch.cuda.is_available() else "cpu")).replace("gpu", "cuda")
    kind, _, number = place.partition(":")
    found = torch.cuda.device_count() if torch.cuda.is_available() else 0
    here = ["cpu", *(f"cuda:{index}" for index in range(found))]
    if torch.backends.mps.is_available():
        here.append("mps")
    if kind == "cuda" and not number:
        place = f"cuda:{os.environ.get('LOCAL_RANK', '0')}"
    if place not in here:
        raise UsageError(f"device {name or place!r} is not available on this machine; it has {', '.join(here)}")
    return torch.device(place)


def joined_processes(device: torch.device | str | None = None) -> Processes:
    """The processes that have joined: the default process group, or this one alone where there is none.

    Args:
        device: Where this one computes; None: where `join_processes` placed it, or on the CPU.
    """
    together = distributed.is_available() and distributed.is_initialized() and not _alone
    rank, world_size = (distributed.get_rank(), distributed.get_world_size()) if together else (0, 1)
    return Processes(rank, world_size, _place if device is None else torch.device(device))


@contextmanager
def alone() -> Iterator[None]:
    """In the block this process has joined no others, as far as `joined_processes` says: it exchanges nothing."""
    global _alone
    before, _alone = _alone, True
    try:
        yield
    finally:
        _alone = before


def launched_rank() -> int:
    """This process's rank as torchrun gave it, known before the processes have joined; 0 without torchrun."""
    return int(os.environ.get("RANK", "0"))
