"""What an experiment is for: one file per task, named by `task` in the configuration.

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
        if name not in self.every_name():
            raise UsageError(f"unknown {self.noun} {name!r}: {did_you_mean(str(name), self.every_name())}")
        return self._of_modelscope()[name]

    def every_name(self) -> set[str]:
        """The names of files and those of ModelScope."""
        return {*self.names(), *self._of_modelscope()}

    def _of_modelscope(self) -> dict[str, Any]:
        tasks = map(super().get, self.names())
        return {task.name: task for task in tasks}


TASKS = TaskRegistry("task", __name__)
