"""What a network that does not learn makes of images, computed once and kept in a `FeatureStore`.

An image is known by its pixels and the network by its weights, so that nothing has to be cleared when either changes.
Each image is computed by itself and in fp32: what is kept does not depend on the batch that it came in first.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from ofakit.data.feature_store import DIGEST_BYTES, FeatureStore

__all__ = ["FrozenFeatures"]


class FrozenFeatures:
    """The features of a network that does not learn.

    Args:
        folder: Where they are kept.
        name: What makes them beside weights: the network's name, and how its features are pooled.
        width: Numbers of a feature.
    """

    def __init__(self, folder: str | Path, name: str, width: int) -> None:
        self.folder, self.name, self.width = Path(folder), name, width
        self._store: FeatureStore
        self._made_by: list[tuple[int, int]] = []

    def __call__(self, network: nn.Module, images: Tensor, compute: Callable[[Tensor], Tensor]) -> Tensor:
        """The features of some images.

        Args:
            network: Whose features they are.
            images: `(n, 3, H, W)` uint8.
            compute: Lets the network make `(1, width)` of one image.

        Returns:
            `(n, width)` float32, on the device of the images.

        Raises:
            UsageError: The folder cannot be written.
        """

        def made(places: list[int]) -> np.ndarray:
            with torch.no_grad(), torch.autocast(images.device.type, enabled=False):
                return torch.cat([compute(images[place : place + 1]) for place in places]).float().cpu().numpy()

        self._open(network)
        pixels = images.cpu().contiguous().numpy()
        digests = [hashlib.blake2b(image.data, digest_size=DIGEST_BYTES).digest() for image in pixels]
        return torch.from_numpy(self._store.rows(digests, made)).to(images.device)

    def _open(self, network: nn.Module) -> None:
        """Take the store of the network's weights; they are only looked at again where one of them was written to."""
        state = network.state_dict()
        made_by = [(id(value), value._version) for value in network.state_dict(keep_vars=True).values()]
        if made_by == self._made_by:
            return
        digest = hashlib.blake2b(self.name.encode(), digest_size=8)
        for name, value in sorted(state.items()):
            digest.update(name.encode())
            digest.update(value.cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
        self._store = FeatureStore(self.folder, f"{self.name.partition(' ')[0]}-{digest.hexdigest()}", self.width)
        self._made_by = made_by
