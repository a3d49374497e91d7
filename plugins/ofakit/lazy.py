"""Let a package offer names from its files without importing them before they are used."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import Any

__all__ = ["exports"]


def exports(package: str, names_of: Mapping[str, Sequence[str]]) -> Callable[[str], Any]:
    """Make a module's `__getattr__`, so that `from package import name` imports the file of `name` only then.

    A file may share its name with what it offers, as `ofakit/scores/cider.py` does: in the package that name means what
    is offered and never the file, whichever is imported first.

    Args:
        package: The package's `__name__`.
        names_of: Which names each module, given by its dotted name, offers.

    Returns:
        The function to bind to `__getattr__` in the package.
    """
    module_of = {name: module for module, names in names_of.items() for name in names}

    class Package(ModuleType):
        def __setattr__(self, name: str, value: Any) -> None:
            """Bind a name, as the import system does with every file of the package once it has run."""
            own_file = isinstance(value, ModuleType) and module_of.get(name) == value.__name__
            super().__setattr__(name, getattr(value, name) if own_file else value)

    if any(module == f"{package}.{name}" for name, module in module_of.items()):
        sys.modules[package].__class__ = Package

    def __getattr__(name: str) -> Any:
        if name not in module_of:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(importlib.import_module(module_of[name]), name)

    return __getattr__
