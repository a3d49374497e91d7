"""What a step does that has run out of memory: it tells that from other errors, and halves its batches.

Several processes cannot repeat a step: the others wait in the middle of what they exchange, which nothing but the end
of a process breaks off. So the one that ran out notes what would have helped, all end, and the run that goes on has its
batches halved: by itself under `torchrun --max-restarts`.
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
"""The folder of a run directory with a file for each process that ran out of memory among others."""

WORDS = ("out of memory", "can't allocate memory", "not enough memory")
"""What RuntimeErrors say that are none of PyTorch's own kind: cuDNN's, those of CPUs and of MPS."""


class StepOutOfMemory(OfakitError):
    """A step ran out of memory, and cannot be repeated with smaller batches here and now.

    Args:
        message: What is told.
        halvings: How often the batches of a run that goes on should be halved; None: they cannot be halved.
    """

    def __init__(self, message: str, halvings: int | None = None) -> None:
        super().__init__(message)
        self.halvings = halvings


def note_halvings(work_dir: Path, rank: int, halvings: int) -> None:
    """Note for the run that goes on how often its batches should be halved.

    Args:
        work_dir: The run directory.
        rank: Of the process that ran out of memory.
        halvings: How often.
    """
    write_text(work_dir / NOTES / f"{rank}.json", to_json({"halvings": halvings}) + "\n")


def noted_halvings(work_dir: Path) -> int:
    """How often the batches should be halved by what processes noted; 0 where there is no note.

    Args:
        work_dir: The run directory.
    """
    notes = (work_dir / NOTES).glob("*.json")
    return max((int(from_json(path.read_bytes())["halvings"]) for path in notes), default=0)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory is full.

    Args:
        error: Any.

    >>> is_out_of_memory(RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 4 bytes"))
    True
    >>> is_out_of_memory(RuntimeError("shapes differ"))
    False
    """
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in WORDS)


def forget() -> None:
    """Give up what a failed step leaves behind: graphs that only cycles hold, and what a GPU's allocator keeps."""
    gc.collect()
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        torch.cuda.empty_cache()


def halves(batch: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """A batch in two, where each of its entries has a row an example.

    Args:
        batch: As the collator made it.

    Returns:
        The first half, the larger one, and the second; None where there is one example, or an entry that has no row
        for each, such as a batch of two sides.

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
