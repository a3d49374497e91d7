"""Pictures through a frozen network into a store of regions: resumable, and by several processes at once.

network = RegionNetwork(section)
store = RegionStore.make(folder, network.width, network.made_by, section.dtype)
made = make_regions(network, store, {"images/dog.jpg": "images/dog.jpg"})
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch

from ofakit.data.decoding import BadImage, load_square
from ofakit.data.image_keys import file_digest
from ofakit.data.region_store import RegionStore
from ofakit.data.regions import Regions
from ofakit.models.region_network import RegionNetwork

__all__ = ["MadeRegions", "make_regions"]

CHUNK = 32
"""Pictures that are decoded, computed and written together; what a killed process loses at most."""


class MadeRegions(NamedTuple):
    """What was done.

    Attributes:
        made: How many pictures were computed now.
        bad: Why pictures have no regions, by name.
    """

    made: int
    bad: dict[str, str]


def make_regions(
    network: RegionNetwork,
    store: RegionStore,
    images: Mapping[str, Any],
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> MadeRegions:
    """Make the regions of the pictures that the store does not have as their files are now.

    Args:
        network: What makes them.
        store: Made with `network.made_by`.
        images: Pictures by name: paths, bytes, PIL images or arrays.
        workers: Threads that decode.
        progress: Called with (done, all) after each chunk.

    Raises:
        UsageError: Features are beyond the range of half precision.
        SaveError: The disk is full.
    """
    bad: dict[str, str] = {}
    with ThreadPoolExecutor(workers) as pool, _kept(store):
        digests = dict(zip(images, pool.map(file_digest, images.values()), strict=True))
        todo = store.absent(digests)
        for done, names in _chunks(todo):
            decoded = dict(zip(names, pool.map(_decoder(network.image_size), (images[n] for n in names)), strict=True))
            bad |= {name: found for name, found in decoded.items() if isinstance(found, str)}
            pixels = {name: found for name, found in decoded.items() if not isinstance(found, str)}
            if pixels:
                stacked = torch.from_numpy(np.stack(list(pixels.values()))).permute(0, 3, 1, 2)
                features = network(stacked).numpy()
                store.add(dict(zip(pixels, map(Regions, features), strict=True)), {n: digests[n] for n in pixels})
            if progress is not None:
                progress(done, len(todo))
    return MadeRegions(len(todo) - len(bad), bad)


@contextmanager
def _kept(store: RegionStore) -> Iterator[None]:
    """Sees that the disk keeps what was added, however a block ends."""
    try:
        yield
    finally:
        store.sync()


def _chunks(names: Sequence[str]) -> Iterator[tuple[int, Sequence[str]]]:
    for start in range(0, len(names), CHUNK):
        chunk = names[start : start + CHUNK]
        yield start + len(chunk), chunk


def _decoder(size: int) -> Callable[[Any], np.ndarray | str]:
    """What decodes a picture, or says why it cannot."""

    def decoded(image: Any) -> np.ndarray | str:
        try:
            return load_square(image, size)
        except BadImage as error:
            return error.reason

    return decoded
