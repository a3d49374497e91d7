"""Estimates the memory of a training step: weights, gradients, the optimizer's moments, and activations.

The first three are counted from the parameters. Activations are the tensors that autograd keeps for the backward pass,
counted with two small batches, whose difference shows what one more example takes. Not counted: the work space of
single operations, the allocator's reserve, and the memory that a GPU's libraries use themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["KeptForBackward", "MemoryEstimate", "estimate_memory"]

MOMENTS = 2
"""Number of tensors that AdamW keeps for each trainable weight, each as large as the weight."""


@dataclass(frozen=True)
class MemoryEstimate:
    """Bytes of one process.

    Attributes:
        weights: Parameters and buffers.
        gradients: Gradients of the trainable parameters.
        optimizer: The optimizer's moments.
        activations: The peak of what one batch keeps for the backward pass.
        an_example: What each further example of a batch keeps.
        counted_with: Number of examples that the activations were counted with.
    """

    weights: int
    gradients: int
    optimizer: int
    activations: int
    an_example: float
    counted_with: int

    @property
    def total(self) -> int:
        """The sum of all: the backward pass has all gradients before it releases the last activations."""
        return self.weights + self.gradients + self.optimizer + self.activations

    def with_more(self, examples: int) -> MemoryEstimate:
        """The estimate for a batch of another size.

        Args:
            examples: How many more examples it has; fewer if negative.
        """
        return replace(self, activations=max(self.activations + round(self.an_example * examples), 0))


class KeptForBackward:
    """Counts what autograd keeps, while it is active.

    Memory kept by several operations counts once; that of the model's own weights does not count.

    Args:
        model: The model.
        limit: Bytes that must not be exceeded; None: no limit.

    Attributes:
        peak: The largest number of bytes kept at the same time.

    >>> layer = nn.Linear(4, 4)
    >>> kept = KeptForBackward(layer)
    >>> with kept.counting():
    ...     layer(torch.ones(2, 4)).exp().sum().backward()
    >>> kept.peak  # two rows before the layer and two after the exponential, of 4 numbers of 4 bytes
    64
    """

    def __init__(self, model: nn.Module, limit: int | None = None) -> None:
        self.peak = 0
        self.limit = limit
        self._weights = {_place(tensor) for tensor in (*model.parameters(), *model.buffers())}
        self._keepers: dict[int, int] = {}
        self._now = 0

    @contextmanager
    def counting(self) -> Iterator[None]:
        """Count in the block."""
        with torch.autograd.graph.saved_tensors_hooks(lambda tensor: _Kept(tensor, self), lambda kept: kept.tensor):
            yield

    def begin(self, tensor: Tensor) -> None:
        """Count a tensor that is kept.

        Args:
            tensor: From a forward pass.

        Raises:
            MemoryError: More than the limit is kept.
        """
        place = _place(tensor)
        if place in self._weights:
            return
        if place not in self._keepers:
            self._now += tensor.untyped_storage().nbytes()
            self.peak = max(self.peak, self._now)
            if self.limit is not None and self._now > self.limit:
                raise MemoryError(f"{self._now:,} bytes are kept, {self.limit:,} may be")
        self._keepers[place] = self._keepers.get(place, 0) + 1

    def end(self, tensor: Tensor) -> None:
        """Stop counting a tensor that is released.

        Args:
            tensor: One that was passed to `begin`.
        """
        place = _place(tensor)
        if place in self._weights:
            return
        self._keepers[place] -= 1
        if self._keepers[place] == 0:
            del self._keepers[place]
            self._now -= tensor.untyped_storage().nbytes()


class _Kept:
    """Held by the graph in place of a tensor; deleted when the graph releases it."""

    def __init__(self, tensor: Tensor, count: KeptForBackward) -> None:
        count.begin(tensor)
        self.tensor, self._count = tensor, count

    def __del__(self) -> None:
        if hasattr(self, "tensor"):
            self._count.end(self.tensor)


def estimate_memory(
    model: nn.Module, backward: Callable[[Sequence[Any]], Any], samples: Sequence[Any], batch_size: int
) -> MemoryEstimate:
    """The memory of a step.

    Args:
        model: The model, on its device.
        backward: Makes a batch of samples and computes the gradient of its loss in the weights.
        samples: At least one sample.
        batch_size: Examples of a batch in training.
    """
    few, many = len(samples) // 2, len(samples)
    counts = {count: _kept(model, backward, samples[:count]) for count in (few, many) if count}
    slope = (counts[many] - counts.get(few, 0)) / (many - few)
    activations = max(counts[many] + round(slope * (batch_size - many)), 0)
    learning = _bytes(parameter for parameter in model.parameters() if parameter.requires_grad)
    return MemoryEstimate(
        weights=_bytes([*model.parameters(), *model.buffers()]),
        gradients=learning,
        optimizer=MOMENTS * learning,
        activations=activations,
        an_example=slope,
        counted_with=many,
    )


def _kept(model: nn.Module, backward: Callable[[Sequence[Any]], Any], samples: Sequence[Any]) -> int:
    count = KeptForBackward(model)
    with count.counting():
        backward(samples)
    model.zero_grad(set_to_none=True)
    return count.peak


def _bytes(tensors: Iterable[Tensor]) -> int:
    """The bytes of some tensors; memory that two of them share counts once."""
    storages = {_place(tensor): tensor.untyped_storage().nbytes() for tensor in tensors}
    return sum(storages.values())


def _place(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()
