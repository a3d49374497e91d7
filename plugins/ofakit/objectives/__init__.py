"""Objectives: tensors in, a loss out. `OBJECTIVES.build({"type": "cross_entropy", ...})` makes one by its file name.

`ofakit.objectives.base` declares what an objective is.
"""

from __future__ import annotations

from ofakit.registry import Registry

__all__ = ["OBJECTIVES"]

OBJECTIVES = Registry("objective", __name__)
