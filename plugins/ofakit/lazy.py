"""Let a package offer names from its files without importing them before they are used."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

__all__ = ["exports"]


def exports(package: str, names_of: Mapping[str, Sequence[str]]) -> Callable[[str], Any]:
    """Make a module's `__getattr__`, so that `from package import name` imports the file of `name` only then.

    Args:
        package: The package's `__name__`, for the error message.
        names_of: Which names each module, given by its dotted name, offers.

    Returns:
        The function to bind to `__getattr__` in the package.
    """
    module_of = {name: module for module, names in names_of.items() for name in names}

    def __getattr__(name: str) -> Any:
        if name not in module_of:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(importlib.import_module(module_of[name]), name)

    return __getattr__
