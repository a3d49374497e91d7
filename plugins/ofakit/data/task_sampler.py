"""Batches of one task each, for training on several tasks that each have their own examples.

    sampler = TaskBatchSampler(["vqa"] * 500 + ["caption"] * 300, {"vqa": 8, "caption": 4}, "roundrobin")

All batches of a step, on all processes, are of one task; `ofakit.data.task_schedule` says of which. Within a task the
examples come as those of a group do: in a seeded order, and in another one each time that a task is gone through again.
A task whose examples are of several groups may keep these apart: in its turns the groups alternate, as
`ofakit.data.grouped_sampler` has them in a run of that task alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from ofakit.data.grouped_sampler import GroupedBatchSampler, GroupMixing, Turn, turns_of
from ofakit.data.task_schedule import Mixing, schedule
from ofakit.errors import UsageError

__all__ = ["TaskBatchSampler"]


class TaskBatchSampler(GroupedBatchSampler):
    """Batches of (epoch, position) pairs, each of one task, and of one of its groups where it keeps these apart.

    Args:
        tasks: The task of each example.
        batch_sizes: Examples per process and batch of each task, in the order of the tasks.
        mixing: How the tasks are mixed.
        batches_per_step: Batches of a process that make one update.
        seed: Of the order of examples, not negative; that of tasks depends on the epoch alone.
        rank: Of this process, from 0.
        world_size: How many processes there are.
        groups: The group of each example, for the tasks of `group_mixing`.
        group_mixing: The tasks that keep their groups apart, and how they mix them.

    Raises:
        UsageError: A task, or a group of one that keeps them apart, is too small to give every batch of a step an
            example; an example of such a task has no group; or an argument is out of range.
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
        groups: Sequence[str | None] = (),
        group_mixing: Mapping[str, GroupMixing] | None = None,
    ) -> None:
        self.batch_sizes, self.task_mixing, self.group_mixing = dict(batch_sizes), mixing, dict(group_mixing or {})
        largest = max(batch_sizes.values())
        parts = list(tasks)
        for place, task in enumerate(tasks if self.group_mixing else ()):
            if task in self.group_mixing:
                parts[place] = _part(task, groups[place])
        found = sorted({*zip(tasks, parts, strict=True)})
        self.parts = {task: [part for own, part in found if own == task] or [task] for task in batch_sizes}
        names = [part for own in self.parts.values() for part in own]
        self.sizes = [batch_sizes[task] for task, own in self.parts.items() for _ in own]
        super().__init__(parts, largest, "proportional", batches_per_step, seed, rank, world_size, names)

    @property
    def batches_per_epoch(self) -> int:
        """Batches in a whole epoch, the same on every process."""
        steps = [self.steps_of_task(task) for task in self.parts]
        share = sum(steps) // len(steps) * len(steps)
        return (share if self.task_mixing == "balanced" else sum(steps)) * self.batches_per_step

    def steps_of_task(self, task: str) -> int:
        """How many steps a task gives when it is gone through once.

        Args:
            task: Its name.
        """
        steps = self._steps(task)
        return max(steps) * len(steps) if self.group_mixing.get(task) == "balanced" else sum(steps)

    def turns(self, epoch: int) -> list[Turn]:
        """Whose turn it is in each step of an epoch.

        Args:
            epoch: Counted from 0.
        """
        steps = {task: self.steps_of_task(task) for task in self.parts}
        own = {task: self._turns_of(task, epoch) for task in self.parts}
        return [next(own[task]) for task in schedule(steps, self.task_mixing, epoch)]

    def step_size(self, group: int) -> int:
        """Examples of a whole step of a task over all processes.

        Args:
            group: The number of the task, or of its group, among all.
        """
        return self.sizes[group] * self.world_size * self.batches_per_step

    def _turns_of(self, task: str, epoch: int) -> Iterator[Turn]:
        """A task's turns, one after the other, without end: each time it is gone through in another order."""
        steps, first = self._steps(task), self.names.index(self.parts[task][0])
        mixing = self.group_mixing.get(task, "proportional")
        cycles = [-(-max(steps) // count) if mixing == "balanced" else 1 for count in steps]
        times = 0
        while True:
            for turn in turns_of(steps, mixing, self.seed, epoch, first, times):
                yield Turn(first + turn.group, turn.cycle + times * cycles[turn.group], turn.step)
            times += 1

    def _steps(self, task: str) -> list[int]:
        """The steps of each group of a task, or of all its examples."""
        return [self.steps_of(self.names.index(part)) for part in self.parts[task]]

    def _identity(self) -> dict[str, int | str]:
        sizes = ", ".join(f"{name} {size * self.world_size}" for name, size in self.batch_sizes.items())
        own: dict[str, int | str] = {"mixing": self.task_mixing, "batch sizes": sizes}
        if self.group_mixing:
            own["mixing of groups"] = ", ".join(f"{task} {kind}" for task, kind in self.group_mixing.items())
        return {**super()._identity(), **own}


def _part(task: str, group: str | None) -> str:
    """What a group of a task is called among all."""
    if group is None:
        raise UsageError(
            f"task {task!r}: expected a group for every example, since its mixing is set, found one without; leave out "
            "mixing, or name the groups in the data",
            "mixing",
        )
    return f"{task}/{group}"
