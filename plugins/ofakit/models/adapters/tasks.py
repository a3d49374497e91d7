"""The task that a model with adapters is set to: each task may have its own adapters.

with using_task(model, "vqa"):
    loss = model(…)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, cast

from torch import Tensor, nn

from ofakit.errors import UsageError, did_you_mean

__all__ = ["ALL", "AdapterSet", "PerTask", "TaskChoice", "adapter_set_of", "choose_task", "using_task"]

ALL = "all"
"""What the one module of every task is called."""


class TaskChoice:
    """The task that is chosen now; one object for all adapters of a model.

    Args:
        names: The tasks that have something of their own; none: all is for every task.
    """

    def __init__(self, names: Sequence[str] | None) -> None:
        self.names = None if names is None else tuple(names)
        self.current: str | None = None

    def key(self, task: str | None = None) -> str:
        """The name of what a task uses.

        Args:
            task: The task; none: the chosen one.

        Raises:
            UsageError: Each task has its own, and none of these is chosen.
        """
        if self.names is None:
            return ALL
        wanted = task or self.current or (self.names[0] if len(self.names) == 1 else None)
        if wanted not in self.names:
            hint = did_you_mean(wanted or "", self.names)
            raise UsageError(f"this model has adapters for each task, and the chosen task is {wanted!r}: {hint}")
        return wanted


class PerTask(nn.Module):
    """One module for all tasks, or one for each.

    Args:
        choice: Which tasks there are, and which one is chosen.
        make: Gives a new module.
        shared: One for all, however many tasks there are.
    """

    def __init__(self, choice: TaskChoice, make: Callable[[], nn.Module], shared: bool = False) -> None:
        super().__init__()
        self._choice = TaskChoice(None) if shared else choice
        for name in self._choice.names or (ALL,):
            self.add_module(name, make())

    def of(self, task: str | None = None) -> Any:
        """The module of a task.

        Args:
            task: The task; none: the chosen one.

        Raises:
            UsageError: No task is chosen, or none of these.
        """
        return self._modules[self._choice.key(task)]

    def forward(self, x: Tensor) -> Tensor:
        """What the chosen task's module makes of `x`.

        Args:
            x: As that module takes it.
        """
        return cast(Tensor, self.of()(x))


class AdapterSet(nn.Module):
    """What the adapters of a model share; the model has it as `adapter_set`.

    Args:
        spec: The configuration that the adapters were made from.
        choice: Their tasks.
    """

    def __init__(self, spec: Mapping[str, Any], choice: TaskChoice) -> None:
        super().__init__()
        self.spec = dict(spec)
        self.choice = choice


def adapter_set_of(model: nn.Module) -> AdapterSet | None:
    """What the adapters of a model share; none where it has no adapters.

    Args:
        model: Any.
    """
    found = getattr(model, "adapter_set", None)
    return found if isinstance(found, AdapterSet) else None


def choose_task(model: nn.Module, task: str) -> None:
    """Let a model compute with the adapters of a task from here on.

    Args:
        model: With adapters or without, which need no task; or what holds such a model, as a retriever does.
        task: The task.

    Raises:
        UsageError: Each task has adapters of its own, and this one has none.
    """
    for adapters in (module for module in model.modules() if isinstance(module, AdapterSet)):
        adapters.choice.key(task)
        adapters.choice.current = task


@contextmanager
def using_task(model: nn.Module, task: str | None) -> Iterator[None]:
    """Let a model compute with the adapters of a task; before and after it is as it was.

    Args:
        model: With adapters or without, which need no task.
        task: The task; none leaves the choice as it is.

    Raises:
        UsageError: Each task has adapters of its own, and this one has none.
    """
    adapters = adapter_set_of(model)
    if adapters is None or task is None:
        yield
        return
    adapters.choice.key(task)
    before, adapters.choice.current = adapters.choice.current, task
    try:
        yield
    finally:
        adapters.choice.current = before
