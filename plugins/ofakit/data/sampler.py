"""The order of training examples: the same for any number of processes, and resumable in the middle of an epoch.

    sampler = ResumableBatchSampler(len(dataset), batch_size=8, seed=7, rank=rank, world_size=world_size)
    loader = DataLoader(dataset, batch_sampler=sampler, collate_fn=collate)
    for epoch in range(first_epoch, epochs):
        sampler.set_epoch(epoch, start_batch)      # start_batch is 0 except in the first epoch after a resume
        for batch in loader: ...

Global batch g of an epoch is the g-th piece of `batch_size * world_size` examples of a permutation that depends on
seed and epoch alone. Process r gets the r-th part of that piece, so the parts joined in the order of the ranks are
the batch of one process with `batch_size * world_size`.

The last, shorter piece is divided as evenly as possible, the first ranks getting one more. Every process takes part
in every step and none gets an empty batch: a last piece with fewer examples than processes is left out. At most
`world_size - 1` examples per epoch are lost that way, different ones in each epoch; with one process none ever is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from ofakit.errors import UsageError

__all__ = ["ResumableBatchSampler"]

OF_BATCHES = ("global_batch_size", "batches_per_step")
"""What may change from snapshot to resumed run where the examples of a step do not."""


class ResumableBatchSampler:
    """Batches of (epoch, position) pairs, for `torch.utils.data.DataLoader(batch_sampler=…)`.

    The epoch travels with each position because worker processes that outlive an epoch have no other way to know it;
    `ExampleDataset` draws its randomness from both.

    Args:
        length: How many examples the data set has.
        batch_size: Examples per process and batch.
        seed: Of the permutation, not negative.
        rank: Of this process, from 0.
        world_size: How many processes there are.
        drop_last: Leave out the last piece if it is not full.
        shuffle: False keeps the order of the data set in every epoch.

    Raises:
        UsageError: The data set is empty or too small to give every process an example, or an argument is out of
            range.
    """

    def __init__(
        self,
        length: int,
        batch_size: int,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
        drop_last: bool = False,
        shuffle: bool = True,
    ) -> None:
        if batch_size < 1 or not 0 <= rank < world_size:
            raise UsageError(
                f"expected batch_size >= 1 and 0 <= rank < world_size, found {batch_size}, {rank} and {world_size}"
            )
        self.length = length
        self.batch_size = batch_size
        self.seed = seed
        self.rank = rank
        self.world_size = world_size
        self.drop_last = drop_last
        self.shuffle = shuffle
        self.epoch = 0
        self.start_batch = 0
        if self.batches_per_epoch < 1:
            needed = self.global_batch_size if drop_last else world_size
            raise UsageError(f"expected at least {needed} training examples for {world_size} processes, found {length}")

    @property
    def global_batch_size(self) -> int:
        """Examples per batch over all processes."""
        return self.batch_size * self.world_size

    @property
    def kept_apart(self) -> list[np.ndarray]:
        """The positions of examples that never share a batch with those of another entry; here one entry of all."""
        return [np.arange(self.length)]

    @property
    def batches_per_epoch(self) -> int:
        """Batches in a whole epoch, the same on every process."""
        whole, rest = divmod(self.length, self.global_batch_size)
        return whole + (not self.drop_last and rest >= self.world_size)

    def __len__(self) -> int:
        """How many batches the next iteration gives."""
        return self.batches_per_epoch - self.start_batch

    def set_epoch(self, epoch: int, start_batch: int = 0) -> None:
        """Say which epoch the next iteration gives, and from which batch.

        Args:
            epoch: Counted from 0.
            start_batch: How many of its batches are already done.

        Raises:
            UsageError: The epoch has fewer batches than that.
        """
        if not 0 <= start_batch <= self.batches_per_epoch:
            raise UsageError(f"expected a batch from 0 to {self.batches_per_epoch}, found {start_batch}")
        self.epoch = epoch
        self.start_batch = start_batch

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        epoch, order = self.epoch, self.order(self.epoch)
        for batch in range(self.start_batch, self.batches_per_epoch):
            piece = order[batch * self.global_batch_size :][: self.global_batch_size]
            share, extra = divmod(len(piece), self.world_size)
            start = self.rank * share + min(self.rank, extra)
            yield [(epoch, int(k)) for k in piece[start : start + share + (self.rank < extra)]]

    def order(self, epoch: int) -> np.ndarray:
        """The permutation of an epoch.

        Args:
            epoch: Counted from 0.

        Returns:
            (length,) int64.
        """
        if not self.shuffle:
            return np.arange(self.length)
        return np.random.Generator(np.random.PCG64([self.seed, epoch])).permutation(self.length)

    def state_dict(self, epoch: int, batches_done: int) -> dict[str, int | str]:
        """What a snapshot must hold.

        Args:
            epoch: The epoch that training is in.
            batches_done: How many of its batches went into the weights. The loader reads ahead of that, so the sampler
                itself cannot know.
        """
        return {"epoch": epoch, "start_batch": batches_done, **self._identity()}

    def load_state_dict(self, state: Mapping[str, Any], divided_anew: bool = False) -> None:
        """Go on where a snapshot was taken.

        Args:
            state: From `state_dict`.
            divided_anew: Whether steps have as many examples as then, in batches of another size or number; the first
                `start_batch` must be 0 then.

        Raises:
            UsageError: It was taken with different data, another seed or another global batch size.
        """
        for name, value in self._identity().items():
            if state.get(name) != value and not (divided_anew and name in OF_BATCHES):
                raise UsageError(
                    f"cannot resume: the snapshot was taken with {name} = {state.get(name)}, found {value} now. "
                    "Resume with the configuration and data of the snapshot, or start a new run from its weights"
                )
        self.set_epoch(int(state["epoch"]), int(state["start_batch"]))

    def _identity(self) -> dict[str, int | str]:
        return {
            "length": self.length,
            "seed": self.seed,
            "global_batch_size": self.global_batch_size,
            "shuffle": int(self.shuffle),
            "drop_last": int(self.drop_last),
        }
