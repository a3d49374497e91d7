"""FlickrStyle10K: one caption per image in each of several styles, the images from Flickr8k.

    {"type": "flickrstyle", "root": "shared/data"}

A line of a split's file is {"image": "dog.jpg", "humorous": "…", "romantic": "…"}.

Source: Gan et al., StyleNet: Generating Attractive Visual Captions with Styles, CVPR 2017.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ofakit.data.example import Example
from ofakit.data.json_files import captions_in, require, require_text
from ofakit.data.readers._splits import FileReader

__all__ = ["FlickrStyle"]


class FlickrStyle(FileReader):
    """Read rows that hold one column of captions per style.

    Args:
        root: Folder of the data set; the other paths are relative to it.
        train: File of the training split.
        val: File of the validation split.
        test: File of the test split.
        images: Folder of the images.
        styles: The columns to read; each is a style. A cell holds one caption or a list.
        image_column: The column that names the image's file.
        splits: Files of further splits by name.
    """

    def __init__(
        self,
        root: str | Path | None = None,
        train: str | None = "flickrstyle/train.jsonl",
        val: str | None = "flickrstyle/val.jsonl",
        test: str | None = "flickrstyle/test.jsonl",
        images: str | Path = "flickr8k/images",
        styles: Sequence[str] = ("humorous", "romantic"),
        image_column: str = "image",
        splits: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(root, {"train": train, "val": val, "test": test, **(splits or {})}, images)
        self.styles = tuple(styles)
        self.image_column = image_column

    def examples(self, row: Mapping[str, Any], split: str) -> list[Example]:
        """One example per style.

        Args:
            row: A line of the file.
            split: The split it comes from.

        Raises:
            UsageError: The image's or a style's column is missing, or a cell is of the wrong type.
        """
        where = str(self.files[split])
        name = require_text(row, self.image_column, "a file name", where)
        return [
            Example(
                id=f"{name}#{style}",
                image=self.image(name),
                references=captions_in(require(row, style, where), f"{where}, column {style!r}"),
                style=style,
            )
            for style in self.styles
        ]
