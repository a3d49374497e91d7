"""Objectives: tensors in, a loss out. `OBJECTIVES.build({"type": "cross_entropy", ...})` makes one by its file's name.

What an objective is, `ofakit.objectives.base` says.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ofakit.registry import Registry

    OBJECTIVES: Registry

__all__ = ["OBJECTIVES"]


def __getattr__(name: str) -> Any:
    if name != "OBJECTIVES":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from ofakit.registry import Registry

    globals()[name] = Registry("objective", __name__)
    return globals()[name]
