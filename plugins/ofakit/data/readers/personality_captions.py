"""Personality-Captions: a comment on an image from one of 215 personalities.

    {"type": "personality_captions", "root": "personality_captions"}

A split's file is a JSON list of {"personality", "comment", "image_hash", "additional_comments"}; the last, which only
the test split has, holds further references. The images are images/<image_hash>.jpg.

Source: Shuster et al., Engaging Image Captioning via Personality, CVPR 2019.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ofakit.data.example import Example
from ofakit.data.json_files import captions_in, read_json, require, require_text, style_in
from ofakit.data.readers._splits import FileReader
from ofakit.errors import UsageError

__all__ = ["PersonalityCaptions"]


class PersonalityCaptions(FileReader):
    """Read Personality-Captions.

    Args:
        root: Folder of the data set; the other paths are relative to it.
        train: File of the training split.
        val: File of the validation split.
        test: File of the test split.
        images: Folder of the images.
        extension: What follows the hash in an image's name.
        splits: Files of further splits by name.
    """

    def __init__(
        self,
        root: str | Path | None = None,
        train: str | None = "train.json",
        val: str | None = "val.json",
        test: str | None = "test.json",
        images: str | Path = "images",
        extension: str = ".jpg",
        splits: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(root, {"train": train, "val": val, "test": test, **(splits or {})}, images)
        self.extension = extension

    def rows(self, split: str) -> list[dict[str, Any]]:
        """Every row of a split's file.

        Args:
            split: The split.

        Raises:
            UsageError: The file is missing, or is not a JSON list.
        """
        rows = read_json(self.files[split], f"rows of split {split!r}")
        if not isinstance(rows, list):
            raise UsageError(f"expected a JSON list of rows in {self.files[split]}, found {type(rows).__name__}")
        return rows

    def examples(self, row: Mapping[str, Any], split: str) -> list[Example]:
        """The one example of a row.

        Args:
            row: A row of the file.
            split: The split it comes from.

        Raises:
            UsageError: A column is missing, or a cell is of the wrong type.
        """
        where = str(self.files[split])
        style = style_in(require(row, "personality", where), f"{where}, column 'personality'")
        name = require_text(row, "image_hash", "an image's name", where)
        comments = captions_in(require(row, "comment", where), where)
        comments += captions_in(row.get("additional_comments") or [], where)
        image = self.image(f"{name}{self.extension}")
        own = name if style is None else f"{name}#{style}"
        return [Example(id=own, image=image, references=comments, style=style)]
