"""Readers turn the files of a data set into examples. One file here is one reader, and its name is its `type`.

    {"type": "flickrstyle", "root": "shared/data"}

A reader is a class whose constructor takes the other keys of that configuration and that has

    splits() -> list[str]             the splits it knows
    read(split) -> list[Example]      one example per (image, style) with all its references; `split` may be a slice

For data sets with one file per split, `_splits.FileReader` does everything but read a row.
"""

from ofakit.registry import Registry

__all__ = ["READERS"]

READERS = Registry("reader", __name__)
