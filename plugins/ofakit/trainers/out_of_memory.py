"""What a step does that has run out of memory: it tells that from other errors, and halves its batches."""

from __future__ import annotations

import gc
from collections.abc import Mapping
from typing import Any

import torch

__all__ = ["forget", "halves", "is_out_of_memory"]

WORDS = ("out of memory", "can't allocate memory", "not enough memory")
"""What RuntimeErrors say that are none of PyTorch's own kind: cuDNN's, those of CPUs and of MPS."""


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
