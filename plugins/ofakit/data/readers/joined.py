"""Several data sets as one, such as factual captions beside captions in styles.

    {"type": "joined", "root": "shared/data", "readers": [
        {"type": "jsonl", "train": "flickr8k/captions_train.jsonl", "images": "flickr8k/images", "style": "factual"},
        {"type": "flickrstyle"}]}

A split is that of every reader that has it, one after the other. A split that only one reader has is that reader's
alone: above, validation and test hold only captions in styles.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ofakit.data.example import Example
from ofakit.data.identity import with_own_ids
from ofakit.data.readers import READERS
from ofakit.data.splits import parse_split
from ofakit.errors import UsageError

__all__ = ["Joined"]


class Joined:
    """Read with several readers.

    Args:
        readers: Their configurations, in order.
        root: Folder of the data sets; a reader may name one of its own.

    Raises:
        UsageError: There are none, or one of the configurations is wrong.
    """

    def __init__(self, readers: Sequence[Mapping[str, Any]], root: str | Path | None = None) -> None:
        if not readers:
            raise UsageError("expected at least one reader for the reader 'joined', found none")
        self.readers = [READERS.build({"root": root, **spec}) for spec in readers]

    def splits(self) -> list[str]:
        """The splits that any of them has."""
        return list(dict.fromkeys(split for reader in self.readers for split in reader.splits()))

    def read(self, split: str) -> list[Example]:
        """Read a split or slices of splits.

        Args:
            split: Such as `train` or `train[:10%]+val`; every reader takes a slice of its own rows.

        Returns:
            The examples of all readers.

        Raises:
            UsageError: The split is unknown, a file is wrong, or two readers give an example the same id.
        """
        examples: dict[tuple[str, str | None], Example] = {}
        for part in parse_split(split, self.splits()):
            for reader in self.readers:
                for example in reader.read(str(part)) if part.name in reader.splits() else ():
                    own = (example.id.removesuffix(f"#{example.style}"), example.style_key)
                    if own in examples:
                        raise UsageError(
                            f"two examples have the id {example.id!r} in split {split!r} of joined readers; give the "
                            "examples of one reader their own style or id column"
                        )
                    examples[own] = example
        return with_own_ids(list(examples.values()))
