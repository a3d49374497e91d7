"""Examples that say which of several tasks they belong to."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["CollateTasks", "PreprocessTasks", "TaskExample"]


@dataclass(frozen=True)
class TaskExample:
    """An example of one of several tasks; all else about it is the example's.

    Attributes:
        part: The task's name.
        example: The example.
    """

    part: str
    example: Any

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name in ("part", "example"):  # not there yet while it is unpickled
            raise AttributeError(name)
        return getattr(self.example, name)


class PreprocessTasks:
    """Example → tensors, by the preprocessor of its task, and `task`, its name; picklable.

    Args:
        preprocessors: Those of the tasks, by name.
    """

    def __init__(self, preprocessors: Mapping[str, Callable[..., dict[str, Any]]]) -> None:
        self.preprocessors = dict(preprocessors)

    def __call__(
        self, data: TaskExample, rng: np.random.Generator | None = None, pixels: np.ndarray | None = None
    ) -> dict[str, Any]:
        """The tensors of an example.

        Args:
            data: The example.
            rng: As its preprocessor takes it.
            pixels: Likewise.
        """
        return {**self.preprocessors[data.part](data.example, rng=rng, pixels=pixels), "task": data.part}


class CollateTasks:
    """Samples of one task become a batch, with the task's name as `task`; picklable.

    Args:
        collators: Those of the tasks, by name.
    """

    def __init__(self, collators: Mapping[str, Callable[..., dict[str, Any]]]) -> None:
        self.collators = dict(collators)

    def __call__(self, samples: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Join samples.

        Args:
            samples: At least one, all of one task.
        """
        task = samples[0]["task"]
        own = [{name: value for name, value in sample.items() if name != "task"} for sample in samples]
        return {**self.collators[task](own), "task": task}
