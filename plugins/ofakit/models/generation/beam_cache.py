"""Cached keys and values of the beams of a batch, which never move.

All beams of an example attend to one cache, `max_length * beams` long, and a mask hides what is not a beam's own past;
reordering changes the mask only. Keys and values of the encoder are projected once an example and shared by its beams.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["BeamCache", "LayerCache"]


@dataclass
class LayerCache:
    """Keys and values of one decoder layer; C is `max_length * num_beams`, S the encoder's length.

    Attributes:
        keys: `(B, H, C, h)`, step by step, the beams of a step side by side; filled up to `length * num_beams`. A
            decoder with a prompt has its states before the first step.
        values: As `keys`.
        memory_keys: `(B, H, S, h)` of the encoder's states.
        memory_values: As `memory_keys`.
    """

    keys: Tensor
    values: Tensor
    memory_keys: Tensor
    memory_values: Tensor

    def select(self, index: Tensor) -> None:
        """Keep the examples at `index`.

        Args:
            index: `(N,)` int64.
        """
        for name in ("keys", "values", "memory_keys", "memory_values"):
            setattr(self, name, getattr(self, name).index_select(0, index))


@dataclass
class BeamCache:
    """Where a generation stands: B examples with `num_beams` beams each, `length` tokens in.

    Attributes:
        num_beams: Beams per example.
        max_length: How many tokens can be put in.
        length: How many have been.
        layers: The caches.
        memory_padding: `(B, 1, 1, S)` as `padding_bias` makes it, or none.
        origins: `(B, beams, max_length)`: which beam's cache holds each step of a beam's past.
    """

    num_beams: int
    max_length: int
    length: int
    layers: Sequence[LayerCache]
    memory_padding: Tensor | None
    origins: Tensor

    @property
    def batch_size(self) -> int:
        """Examples that are still in the cache."""
        return len(self.origins)

    def reorder(self, index: Tensor) -> None:
        """Let every beam go on from the past of another beam of the same example; copies no keys or values.

        Args:
            index: `(B * beams,)` int64: the row, among all B * beams, whose past each row takes over.
        """
        local = index.view(-1, self.num_beams) % self.num_beams
        self.origins = self.origins.gather(1, local[..., None].expand_as(self.origins))

    def select(self, batch_index: Tensor) -> None:
        """Keep the examples at `batch_index`, in that order, and drop the others.

        Args:
            batch_index: `(N,)` int64, positions among the B examples.
        """
        for layer in self.layers:
            layer.select(batch_index)
        self.origins = self.origins.index_select(0, batch_index)
        if self.memory_padding is not None:
            self.memory_padding = self.memory_padding.index_select(0, batch_index)

    def hidden_pasts(self, dtype: torch.dtype) -> Tensor | None:
        """The mask that leaves every beam its own past, current step included.

        Args:
            dtype: Of the result.

        Returns:
            `(B, 1, beams, (length + 1) * beams)`, 0 or -inf; none for a single beam.
        """
        if self.num_beams == 1:
            return None
        beams = torch.arange(self.num_beams, device=self.origins.device)
        self.origins[:, :, self.length] = beams
        others = self.origins[:, :, : self.length + 1, None] != beams
        mask = torch.zeros(others.shape, dtype=dtype, device=beams.device).masked_fill_(others, -torch.inf)
        return mask.flatten(2)[:, None]
