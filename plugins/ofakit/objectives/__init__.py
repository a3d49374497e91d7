"""Objectives: tensors in, a loss out. `OBJECTIVES.build({"type": "cross_entropy", ...})` makes one by its file's name.

What an objective is, `ofakit.objectives.base` says.
"""

from __future__ import annotations

from ofakit.registry import Registry

__all__ = ["OBJECTIVES"]

OBJECTIVES = Registry("objective", __name__)
