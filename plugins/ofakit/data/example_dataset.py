"""Examples, images and a preprocessor joined into a data set for `torch.utils.data.DataLoader`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from ofakit.data.image_store import ImageStore

__all__ = ["ExampleDataset"]


class ExampleDataset:
    """Map-style data set of preprocessed examples; picklable, for workers of any start method.

    What an example becomes depends on (seed, epoch, position) alone: not on the number of workers, nor on what was
    read before. So a resumed run sees what an uninterrupted one would have seen.

    It raises on a bad image. Leave those out beforehand with `usable_examples`, whose docstring says why.

    Args:
        examples: What `expand` or a reader gave; each says by `pixels(store)` which images its preprocessor gets.
        preprocessor: Called as `preprocessor(example, rng=…, pixels=…)`; gives a dict of tensors.
        store: Gives the images that have a path; None lets the preprocessor decode them each time.
        seed: Of crops and flips, not negative.
    """

    def __init__(
        self,
        examples: Sequence[Any],
        preprocessor: Callable[..., dict[str, Any]],
        store: ImageStore | None = None,
        seed: int = 0,
    ) -> None:
        self.examples = examples
        self.preprocessor = preprocessor
        self.store = store
        self.seed = seed
        self.epoch = 0

    def __len__(self) -> int:
        return len(self.examples)

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch of positions that come without one.

        Args:
            epoch: Counted from 0.
        """
        self.epoch = epoch

    def __getitem__(self, key: int | tuple[int, int]) -> dict[str, Any]:
        """The sample of an example.

        Args:
            key: Its position, or (epoch, position) as `ResumableBatchSampler` gives them.

        Returns:
            What the preprocessor made, and `index`, the position.

        Raises:
            BadImage: Its image is missing or cannot be read.
        """
        epoch, position = key if isinstance(key, tuple) else (self.epoch, key)
        example = self.examples[position]
        pixels = None if self.store is None else example.pixels(self.store)
        rng = np.random.Generator(np.random.PCG64([self.seed, epoch, position]))
        return {**self.preprocessor(example, rng=rng, pixels=pixels), "index": position}
