"""Hooks of the training loop, registered in ModelScope's HOOKS; their keys are those of ModelScope's hooks."""

from __future__ import annotations

import importlib
import pkgutil

__all__ = ["import_all"]


def import_all() -> None:
    """Import every file of this folder, which registers its hook."""
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
