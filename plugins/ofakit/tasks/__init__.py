"""What an experiment is for: one file a task, named by `task` in the configuration.

    from ofakit.tasks import TASKS
    task = TASKS.get("image-captioning")(experiment)

A task has two names, that of its file (`captioning`) and ModelScope's (`image-captioning`); either will do.
"""

from __future__ import annotations

from typing import Any

from ofakit.errors import UsageError, did_you_mean
from ofakit.registry import Registry

__all__ = ["TASKS"]


class TaskRegistry(Registry):
    """The tasks, by the names of their files and by ModelScope's names."""

    def get(self, name: str) -> Any:
        """The task called `name`.

        Args:
            name: A file's name, or the `name` of a task.

        Raises:
            UsageError: There is none; the message names the nearest.
        """
        if name in self.names():
            return super().get(name)
        of_modelscope = {task.name: task for task in map(super().get, self.names())}
        if name not in of_modelscope:
            known = did_you_mean(str(name), {*self.names(), *of_modelscope})
            raise UsageError(f"unknown {self.noun} {name!r}: {known}")
        return of_modelscope[name]


TASKS = TaskRegistry("task", __name__)
