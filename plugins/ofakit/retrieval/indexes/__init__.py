"""What searches vectors. A member's file name is what `retrieval.index.engine` and `ofakit index --engine` take.

A member is a class on the one of `base.py`: `build` writes what it needs beside the vectors, `search` finds.
"""

from __future__ import annotations

from ofakit.registry import Registry

__all__ = ["INDEXES"]

INDEXES = Registry("index engine", __name__)
