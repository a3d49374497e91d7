"""Shared by readers of data sets with one file per split."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from ofakit.data.example import Example
from ofakit.data.identity import merge
from ofakit.data.image_files import existing
from ofakit.data.json_files import read_jsonl, read_rows
from ofakit.data.splits import parse_split
from ofakit.errors import UsageError

__all__ = ["FileReader", "SplitFiles"]

Item = TypeVar("Item")


class SplitFiles:
    """One JSON-lines file per split; override `rows` for another format.

    Args:
        root: Folder of the data set; the files are relative to it. None is the working directory.
        files: The file of each split; a split whose file is None is left out.
    """

    noun = "captions"

    def __init__(self, root: str | Path | None, files: Mapping[str, str | None]) -> None:
        self.root = Path(root or ".").expanduser()
        self.files = {split: self.root / file for split, file in files.items() if file}

    def splits(self) -> list[str]:
        """The splits that have a file."""
        return list(self.files)

    def rows(self, split: str) -> list[Any]:
        """Every row of a split's file.

        Args:
            split: The split.
        """
        return read_jsonl(self.files[split], f"{self.noun} of split {split!r}")

    def converted(self, split: str, convert: Callable[[Any, str], Iterable[Item]]) -> list[tuple[str, Item]]:
        """What the rows of a split hold, in the order of the files.

        Args:
            split: Such as `train`, `train[-50000:]` or `train[:10%]+val`; slices count the rows of the files.
            convert: Makes the items of a row, given the row and the name of its split.

        Returns:
            Pairs of where an item stands, such as "row 3 of split 'val'", and the item.

        Raises:
            UsageError: The split is unknown, its file is missing, or a row is not what `convert` expects; the message
                names the row.
        """
        items: list[tuple[str, Item]] = []
        for part in parse_split(split, self.splits()):
            for number, row in part.take(list(enumerate(self.rows(part.name), start=1))):
                place = f"row {number} of split {part.name!r}"
                try:
                    items += [(place, item) for item in convert(row, part.name)]
                except UsageError as error:
                    raise UsageError(f"{place}: {error}") from None
        return items


class FileReader(SplitFiles):
    """A reader of captions in one file of JSON lines, or of one JSON list, per split; override `rows` for another.

    Args:
        root: Folder of the data set; the other paths are relative to it. None is the working directory.
        files: The file of each split; a split whose file is None is left out.
        images: Folder of the images, relative to `root`.
    """

    def __init__(self, root: str | Path | None, files: Mapping[str, str | None], images: str | Path) -> None:
        super().__init__(root, files)
        self.images = self.root / images

    def rows(self, split: str) -> list[Any]:
        """Every row of a split's file.

        Args:
            split: The split.
        """
        return read_rows(self.files[split], f"{self.noun} of split {split!r}")

    def image(self, name: str) -> str:
        """The path of an image.

        Args:
            name: Its name in `images`. Backslashes, as Windows writes them, part folders where there is no such file.
        """
        return str(existing(self.images / name))

    def read(self, split: str) -> list[Example]:
        """Read a split or slices of splits.

        Args:
            split: Such as `train`, `train[-50000:]` or `train[:10%]+val`; slices count the rows of the files.

        Returns:
            One example per (image, style) with all its references and no text, in the order of the files.

        Raises:
            UsageError: The split is unknown, its file is missing, or a row is not what the reader expects.
        """
        return merge(example for _, example in self.converted(split, self.examples))

    def examples(self, row: Any, split: str) -> Iterable[Example]:
        """The examples of one row.

        Args:
            row: One of `rows`.
            split: The split it comes from.
        """
        raise NotImplementedError
