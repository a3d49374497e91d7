"""Errors that people read: what was expected, what was found, what is available and how to fix it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = ["ModelNotFinite", "OfakitError", "RunStopped", "UsageError", "did_you_mean"]


class OfakitError(Exception):
    """Base of every error that ofakit raises on purpose. The tools end with exit code 1."""


class UsageError(OfakitError, ValueError):
    """Bad usage, configuration or data. The tools print the message without a traceback and end with exit code 2.

    Args:
        message: What was expected, what was found and how to cure it.
        key: The key of a component's configuration that is to blame; callers that know the file add its name.
    """

    def __init__(self, message: str = "", key: str | None = None) -> None:
        super().__init__(message)
        self.key = key


class ModelNotFinite(OfakitError):
    """A model gives NaN or infinity where a number is expected. The tools end with exit code 1."""


class RunStopped(KeyboardInterrupt):
    """A run was asked to stop and can continue later. Like Ctrl-C, this is not a failure.

    Args:
        message: What stopped it, after which step, and how to continue.
        exit_code: What the tools end with.
    """

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def did_you_mean(name: str, available: Iterable[str]) -> str:
    """Say which names there are, the nearest first.

    Args:
        name: What was asked for.
        available: What there is.

    Returns:
        A clause that ends an error message.

    >>> did_you_mean("lerning_rate", ["learning_rate", "seed"])
    "did you mean 'learning_rate'? Available: learning_rate, seed"
    >>> did_you_mean("zebra", ["learning_rate", "seed"])
    'available: learning_rate, seed'
    """
    names = sorted(available)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    if near:
        return f"did you mean {near[0]!r}? Available: {', '.join(names)}"
    return f"available: {', '.join(names)}" if names else "none is available"
