"""Batches of one group of examples each, such as those with a text, an image or both, in a seeded round robin.

    sampler = GroupedBatchSampler([example.group for example in examples], 8, "balanced", batches_per_step=4, seed=7)

    {"train": {"dataloader": {"mixing": "balanced"}, "gradient_accumulation": 4}}

The groups take turns from step to step: all batches of a step, on all processes, are of one group, so that examples
whose inputs differ never meet in a batch, nor in a loss of the joined batch.

- balanced: every round has one step of each group, in a seeded order. An epoch ends when the largest group was seen
  once; smaller ones are gone through again, each time in another order and with other random numbers.
- proportional: every group is seen once an epoch, its steps spread evenly over it.

The last, shorter step of a group has its examples spread over all batches and processes; with fewer examples than
those it is left out, different ones in each epoch.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

import numpy as np

from ofakit.data.sampler import ResumableBatchSampler
from ofakit.errors import UsageError

__all__ = ["GroupMixing", "GroupedBatchSampler", "Turn", "turns_of"]

GroupMixing = Literal["balanced", "proportional"]
"""How groups are mixed."""


class Turn(NamedTuple):
    """A step of a group: which time the group is gone through in an epoch, and which step of that.

    Attributes:
        group: The group's number.
        cycle: Which time, from 0.
        step: Which step of it, from 0.
    """

    group: int
    cycle: int
    step: int


def turns_of(steps: Sequence[int], mixing: GroupMixing, *seed: int) -> list[Turn]:
    """Whose turn it is when groups alternate until the largest was seen once.

    Args:
        steps: How many steps each group gives when it is gone through once, at least 1.
        mixing: How often a group has its turn.
        *seed: Of the order, not negative.

    >>> [turn.group for turn in turns_of([2, 1], "balanced", 7, 0)]
    [0, 1, 0, 1]
    """
    rng = np.random.Generator(np.random.PCG64(seed))
    if mixing == "balanced":
        return [
            Turn(int(group), *divmod(number, steps[group]))
            for number in range(max(steps))
            for group in rng.permutation(len(steps))
        ]
    starts = rng.random(len(steps))
    spread = [
        ((step + starts[group]) / count, group, step) for group, count in enumerate(steps) for step in range(count)
    ]
    return [Turn(group, 0, step) for _, group, step in sorted(spread)]


class GroupedBatchSampler(ResumableBatchSampler):
    """Batches of (epoch, position) pairs, each of one group.

    Args:
        groups: The group of each example.
        batch_size: Examples per process and batch.
        mixing: How often a group has its turn.
        batches_per_step: Batches of a process that make one update.
        seed: Of all permutations, not negative.
        rank: Of this process, from 0.
        world_size: How many processes there are.
        names: The groups in their order; None: in that of the alphabet.

    Raises:
        UsageError: An example has no group, a group is too small to give every batch of a step an example, or an
            argument is out of range.
    """

    def __init__(
        self,
        groups: Sequence[str | None],
        batch_size: int,
        mixing: GroupMixing,
        batches_per_step: int = 1,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
        names: Sequence[str] | None = None,
    ) -> None:
        without = sum(group is None for group in groups)
        if without:
            raise UsageError(
                f"expected a group for every example, since train.dataloader.mixing is set, found {without} of "
                f"{len(groups)} without one; set it to null, or name the groups in the data",
                "mixing",
            )
        self.mixing, self.batches_per_step = mixing, batches_per_step
        self.names = sorted(map(str, set(groups))) if names is None else list(names)
        number = {name: place for place, name in enumerate(self.names)}
        of_example = np.array([number[str(group)] for group in groups], dtype=np.int64)
        self.members = [np.flatnonzero(of_example == place) for place in range(len(self.names))]
        self.checksum = zlib.crc32("\0".join(map(str, groups)).encode())
        super().__init__(len(groups), batch_size, seed, rank, world_size)
        for group, (name, members) in enumerate(zip(self.names, self.members, strict=True)):
            if self.steps_of(group) < 1:
                raise UsageError(
                    f"expected at least {batches_per_step * world_size} training examples of each group, one for every "
                    f"batch of a step, found {len(members)} of {name!r}; lower train.gradient_accumulation",
                    "mixing",
                )

    @property
    def kept_apart(self) -> list[np.ndarray]:
        """The positions of the examples of each group."""
        return self.members

    @property
    def batches_per_epoch(self) -> int:
        """Batches in a whole epoch, the same on every process."""
        steps = [self.steps_of(group) for group in range(len(self.names))]
        whole = max(steps, default=0) * len(steps) if self.mixing == "balanced" else sum(steps)
        return whole * self.batches_per_step

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        epoch = self.epoch
        orders: dict[tuple[int, int], np.ndarray] = {}
        for number, turn in enumerate(self.turns(epoch)):
            batches = range(number * self.batches_per_step, (number + 1) * self.batches_per_step)
            if batches[-1] < self.start_batch:
                continue
            if (turn.group, turn.cycle) not in orders:
                orders = {key: order for key, order in orders.items() if key[0] != turn.group}
                orders[turn.group, turn.cycle] = self._permutation(epoch, turn.group, turn.cycle)
            piece = self._piece(orders[turn.group, turn.cycle], turn)
            # an example that is seen again in an epoch shall not draw the same random numbers
            key = epoch + (turn.cycle << 32)
            for batch, positions in zip(batches, np.array_split(piece, self.batches_per_step), strict=True):
                if batch >= self.start_batch:
                    yield [(key, int(k)) for k in np.array_split(positions, self.world_size)[self.rank]]

    def turns(self, epoch: int) -> list[Turn]:
        """Whose turn it is in each step of an epoch.

        Args:
            epoch: Counted from 0.
        """
        return turns_of([self.steps_of(group) for group in range(len(self.names))], self.mixing, self.seed, epoch)

    def order(self, epoch: int) -> np.ndarray:
        """The positions of an epoch in their order; balanced, those of small groups come several times.

        Args:
            epoch: Counted from 0.

        Returns:
            (n,) int64.
        """
        pieces = [self._piece(self._permutation(epoch, turn.group, turn.cycle), turn) for turn in self.turns(epoch)]
        return np.concatenate(pieces)

    def step_size(self, group: int) -> int:
        """Examples of a whole step of a group over all processes.

        Args:
            group: Its number; here all have as many.
        """
        return self.global_batch_size * self.batches_per_step

    def steps_of(self, group: int) -> int:
        """How many steps a group gives when it is gone through once.

        Args:
            group: Its number.
        """
        whole, rest = divmod(len(self.members[group]), self.step_size(group))
        return whole + (rest >= self.batches_per_step * self.world_size)

    def _permutation(self, epoch: int, group: int, cycle: int) -> np.ndarray:
        generator = np.random.Generator(np.random.PCG64([self.seed, epoch, group, cycle]))
        return generator.permutation(self.members[group])

    def _piece(self, order: np.ndarray, turn: Turn) -> np.ndarray:
        size = self.step_size(turn.group)
        return order[turn.step * size :][:size]

    def _identity(self) -> dict[str, int | str]:
        own = {"mixing": self.mixing, "batches_per_step": self.batches_per_step, "groups": self.checksum}
        return {**super()._identity(), **own}
