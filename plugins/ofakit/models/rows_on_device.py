"""Rows of images that stay in an accelerator's memory, found again by the pixels without these leaving it.

An image is recognised by two sums of its bytes, each multiplied by a fixed random 64-bit number, modulo 2^64. Two given
images of one size agree in both with a probability below 2^-110 over the random numbers (Carter and Wegman, 1979,
"Universal classes of hash functions").
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

__all__ = ["RowsOnDevice"]

SUMS = 2


class RowsOnDevice:
    """Rows by image, kept while there is room.

    Attributes:
        taken: Bytes that the rows take.

    Args:
        room: Bytes that the rows may take; once they are full, rows of further images are fetched every time.
        dtype: What rows are kept in.
    """

    def __init__(self, room: int, dtype: torch.dtype) -> None:
        self.room, self.dtype = room, dtype
        self.taken = 0
        self._rows: dict[tuple[int, ...], Tensor] = {}
        self._factors: dict[tuple[int, torch.device], Tensor] = {}

    def __len__(self) -> int:
        """How many rows there are."""
        return len(self._rows)

    def __deepcopy__(self, memo: dict[int, Any]) -> RowsOnDevice:
        """The rows themselves: a copy of a model uses the same ones."""
        return self

    def __call__(self, images: Tensor, fetch: Callable[[Tensor], Tensor]) -> Tensor:
        """The rows of some images.

        Args:
            images: `(n, 3, H, W)` uint8.
            fetch: Gives the rows `(k, width)` of k images that are not there, on any device.

        Returns:
            `(n, width)`, of the type they are kept in, on the device of the images.
        """
        keys = self._keys(images)
        first: dict[tuple[int, ...], int] = {}
        for place, key in enumerate(keys):
            if key not in self._rows:
                first.setdefault(key, place)
        found: dict[tuple[int, ...], Tensor] = {}
        if first:
            absent = images.index_select(0, torch.tensor([*first.values()], device=images.device))
            found = dict(zip(first, fetch(absent).to(images.device, self.dtype), strict=True))
            self._keep(found)
        return torch.stack([found[key] if key in found else self._rows[key] for key in keys])

    def _keep(self, found: dict[tuple[int, ...], Tensor]) -> None:
        for key, row in found.items():
            if self.taken + row.nbytes <= self.room:
                self._rows[key] = row.clone()
                self.taken += row.nbytes

    def _keys(self, images: Tensor) -> list[tuple[int, ...]]:
        """What each image is recognised by: its sums, and its size."""
        numbers = images.flatten(1)
        sums = torch.stack([(numbers * factors).sum(1) for factors in self._factors_of(numbers)], 1)
        return [(*found, *images.shape[-2:]) for found in sums.tolist()]

    def _factors_of(self, numbers: Tensor) -> Tensor:
        """`(SUMS, N)` int64, the fixed random numbers for images of N bytes."""
        place = numbers.shape[1], numbers.device
        if place not in self._factors:
            drawn = np.random.default_rng(0).integers(-(2**63), 2**63, (SUMS, numbers.shape[1]), dtype=np.int64)
            self._factors[place] = torch.from_numpy(drawn).to(numbers.device)
        return self._factors[place]
