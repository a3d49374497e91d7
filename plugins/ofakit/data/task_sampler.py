"""Batches of one task each, for training on several tasks that each have their own examples.

    sampler = TaskBatchSampler(["vqa"] * 500 + ["caption"] * 300, {"vqa": 8, "caption": 4}, "roundrobin")

All batches of a step, on all processes, are of one task; `ofakit.data.task_schedule` says of which. Within a task the
examples come as those of a group do: in a seeded order, and in another one each time that a task is gone through again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ofakit.data.grouped_sampler import GroupedBatchSampler, Turn
from ofakit.data.task_schedule import Mixing, schedule

__all__ = ["TaskBatchSampler"]


class TaskBatchSampler(GroupedBatchSampler):
    """Batches of (epoch, position) pairs, each of one task.

    Args:
        tasks: The task of each example.
        batch_sizes: Examples per process and batch of each task, in the order of the tasks.
        mixing: How the tasks are mixed.
        batches_per_step: Batches of a process that make one update.
        seed: Of the order of examples, not negative; that of tasks depends on the epoch alone.
        rank: Of this process, from 0.
        world_size: How many processes there are.

    Raises:
        UsageError: A task is too small to give every batch of a step an example, or an argument is out of range.
    """

    def __init__(
        self,
        tasks: Sequence[str],
        batch_sizes: Mapping[str, int],
        mixing: Mixing,
        batches_per_step: int = 1,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        self.batch_sizes, self.task_mixing = dict(batch_sizes), mixing
        largest = max(batch_sizes.values())
        super().__init__(tasks, largest, "proportional", batches_per_step, seed, rank, world_size, list(batch_sizes))

    @property
    def batches_per_epoch(self) -> int:
        """Batches in a whole epoch, the same on every process."""
        steps = [self.steps_of(group) for group in range(len(self.names))]
        share = sum(steps) // len(steps) * len(steps)
        return (share if self.task_mixing == "balanced" else sum(steps)) * self.batches_per_step

    def turns(self, epoch: int) -> list[Turn]:
        """Whose turn it is in each step of an epoch.

        Args:
            epoch: Counted from 0.
        """
        steps = {name: self.steps_of(group) for group, name in enumerate(self.names)}
        done = dict.fromkeys(steps, 0)
        found = []
        for name in schedule(steps, self.task_mixing, epoch):
            found.append(Turn(self.names.index(name), *divmod(done[name], steps[name])))
            done[name] += 1
        return found

    def step_size(self, group: int) -> int:
        """Examples of a whole step of a task over all processes.

        Args:
            group: Its number.
        """
        return self.batch_sizes[self.names[group]] * self.world_size * self.batches_per_step

    def _identity(self) -> dict[str, int | str]:
        sizes = ", ".join(f"{name} {size}" for name, size in self.batch_sizes.items())
        return {**super()._identity(), "mixing": self.task_mixing, "batch sizes": sizes}
