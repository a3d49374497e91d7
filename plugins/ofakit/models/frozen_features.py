"""Features of images from a frozen network, computed once and kept in a `FeatureStore`.

An image is known by its pixels and the network by its weights, so that nothing has to be cleared when either changes.
Images are computed in fp32 and, on a CPU, each by itself: what is kept does not depend on the batch that it came in
first. An accelerator computes some at once, since one alone would leave it idle, and keeps features in its own memory
while there is room: reading them from the store takes it longer than computing them anew.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from ofakit.data.feature_store import DIGEST_BYTES, FeatureStore
from ofakit.models.rows_on_device import RowsOnDevice

__all__ = ["FrozenFeatures"]

AT_ONCE = 32
"""Images that an accelerator computes in one pass."""
GIB = 2**30


class FrozenFeatures:
    """The features of a network that does not learn.

    Args:
        folder: Where they are kept.
        name: What makes them beside weights: the network's name, and how images are normalised and features pooled.
        shape: Of one image's features: a width, or (C, h, w).
        dtype: What they are kept in.
        memory: GiB of an accelerator's memory in which they are kept beside the store.
    """

    def __init__(
        self,
        folder: str | Path,
        name: str,
        shape: int | tuple[int, ...],
        dtype: Literal["float32", "float16"] = "float32",
        memory: float = 0.0,
    ) -> None:
        self.folder, self.name, self.dtype = Path(folder), name, dtype
        self.shape: tuple[int, ...] = (shape,) if isinstance(shape, int) else shape
        self._store: FeatureStore | None = None
        self._made_by: list[tuple[int, int]] = []
        self.memory = int(memory * GIB)
        self._on_device = self._no_rows()

    def __call__(self, network: nn.Module, images: Tensor, compute: Callable[[Tensor], Tensor]) -> Tensor:
        """The features of some images.

        Args:
            network: Whose features they are.
            images: `(n, 3, H, W)` uint8.
            compute: Lets the network make `(k, *shape)` of k images.

        Returns:
            `(n, *shape)` float32, on the device of the images.

        Raises:
            UsageError: The folder cannot be written.
            SaveError: The disk is full.
        """

        store = self._store_of(network)

        def fetched(images: Tensor) -> Tensor:
            return torch.from_numpy(_rows_of(store, images, compute))

        rows = self._on_device(images, fetched) if _is_accelerator(images.device) else fetched(images)
        return rows.view(-1, *self.shape).to(images.device).float()

    def _store_of(self, network: nn.Module) -> FeatureStore:
        """The store of the network's weights; they are only looked at again where one of them was written to."""
        state = network.state_dict()
        made_by = [(id(value), value._version) for value in network.state_dict(keep_vars=True).values()]
        if self._store is not None and made_by == self._made_by:
            return self._store
        digest = hashlib.blake2b(f"{self.name} {self.shape} {self.dtype}".encode(), digest_size=8)
        for name, value in sorted(state.items()):
            digest.update(name.encode())
            digest.update(value.cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
        name = f"{self.name.partition(' ')[0]}-{digest.hexdigest()}"
        if self._store is None or self._store.name != name:  # a copy of a network has the store that it had
            self._store = FeatureStore(self.folder, name, math.prod(self.shape), self.dtype)
            self._on_device = self._no_rows()
        self._made_by = made_by
        return self._store

    def _no_rows(self) -> RowsOnDevice:
        return RowsOnDevice(self.memory, getattr(torch, self.dtype))


def _rows_of(store: FeatureStore, images: Tensor, compute: Callable[[Tensor], Tensor]) -> np.ndarray:
    """The rows of images in a store, those that are not there computed first."""

    def made(places: list[int]) -> np.ndarray:
        size = AT_ONCE if _is_accelerator(images.device) else 1
        absent = images.index_select(0, torch.tensor(places).to(images.device))
        with torch.no_grad(), torch.autocast(images.device.type, enabled=False):
            return torch.cat([compute(part).flatten(1) for part in absent.split(size)]).float().cpu().numpy()

    pixels = images.cpu().contiguous().numpy()
    return store.rows([hashlib.blake2b(image.data, digest_size=DIGEST_BYTES).digest() for image in pixels], made)


def _is_accelerator(device: torch.device) -> bool:
    return device.type != "cpu"
