"""For a step that has run out of memory: recognising this error and halving the batches.

Several processes cannot repeat a step: the others wait in the middle of an exchange, which only the end of a process
breaks off. So the process that ran out of memory records what would have helped, all processes end, and the run that
continues has its batches halved; under `torchrun --max-restarts` it continues by itself.
"""

from __future__ import annotations

import gc
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from ofakit.errors import OfakitError
from ofakit.files import write_text
from ofakit.json_text import from_json, to_json

__all__ = ["NOTES", "StepOutOfMemory", "forget", "halves", "is_out_of_memory", "note_halvings", "noted_halvings"]

NOTES = "out_of_memory"
"""The folder of a run directory with a file for each process that ran out of memory in a run of several."""

WORDS = ("out of memory", "can't allocate memory", "not enough memory")
"""Texts in RuntimeErrors that are not PyTorch's own class of error: those of cuDNN, of CPUs and of MPS."""


class StepOutOfMemory(OfakitError):
    """A step ran out of memory and cannot be repeated with smaller batches in this process.

    Args:
        message: The message.
        halvings: How often a run that continues should halve its batches; None: they cannot be halved.
    """

    def __init__(self, message: str, halvings: int | None = None) -> None:
        super().__init__(message)
        self.halvings = halvings


def note_halvings(work_dir: Path, rank: int, halvings: int) -> None:
    """Record for the run that continues how often its batches should be halved.

    Args:
        work_dir: The run directory.
        rank: Rank of the process that ran out of memory.
        halvings: How often.
    """
    write_text(work_dir / NOTES / f"{rank}.json", to_json({"halvings": halvings}) + "\n")


def noted_halvings(work_dir: Path) -> int:
    """How often the batches should be halved according to what processes recorded; 0 without a record.

    Args:
        work_dir: The run directory.
    """
    notes = (work_dir / NOTES).glob("*.json")
    return max((int(from_json(path.read_bytes())["halvings"]) for path in notes), default=0)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error means that memory is full.

    Args:
        error: Any error.

    >>> is_out_of_memory(RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 4 bytes"))
    True
    >>> is_out_of_memory(RuntimeError("shapes differ"))
    False
    """
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in WORDS)


def forget() -> None:
    """Free what a failed step leaves behind: graphs held only by cycles, and the reserve of a GPU's allocator."""
    gc.collect()
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        torch.cuda.empty_cache()


def halves(batch: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """Split a batch in two, if each of its entries has one row per example.

    Args:
        batch: A batch from the collator.

    Returns:
        The first half, which is the larger one, and the second; None if there is only one example, or an entry without
        one row per example, such as a batch of two sides.

    >>> halves({"index": torch.arange(3), "text": ["a", "b", "c"]})
    ({'index': tensor([0, 1]), 'text': ['a', 'b']}, {'index': tensor([2]), 'text': ['c']})
    """
    count = len(batch["index"])
    rows = all(isinstance(value, torch.Tensor | list) and len(value) == count for value in batch.values())
    if count < 2 or not rows:
        return None
    middle = (count + 1) // 2
    first = {name: value[:middle] for name, value in batch.items()}
    return first, {name: value[middle:] for name, value in batch.items()}
