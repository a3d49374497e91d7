"""Readers turn the files of a data set into examples. One file here is one reader, and its name is its `type`.

    {"type": "flickrstyle", "root": "shared/data"}

A reader is a class whose constructor takes the other keys of that configuration and that has

    splits() -> list[str]             the splits it knows
    read(split) -> list[Example]      one example per (image, style) with all its references; `split` may be a slice

and the reader of a knowledge base

    splits() -> list[str]
    read(split) -> list[Query]             what is asked; `split` may be a slice
    passages(split=None) -> Iterable[Passage]    what the questions of a split are asked of; None for all there is
    passage_files(split=None) -> list[Path]      the files these come from, for a base that may be kept on disk

For data sets with one file per split, `_splits.FileReader` does everything but read a row; `_splits.SplitFiles` is what
it shares with readers of questions.
"""

from ofakit.registry import Registry

__all__ = ["READERS"]

READERS = Registry("reader", __name__)
