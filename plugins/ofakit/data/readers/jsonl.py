"""Plain JSON lines: an image, its captions, perhaps a style.

    {"type": "jsonl", "root": "shared/data", "images": "flickr8k/images",
     "train": "flickr8k/captions_train.jsonl", "val": "flickr8k/captions_val.jsonl"}

A line is {"image": "dog.jpg", "captions": ["…", "…"]}. The captions are in the first of the columns `text`, `caption`,
`captions` and `references` that there is, as one text or a list; `style` and `id` are optional. Lines that share image
and style, and their `id` where they have one, become one example.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ofakit.data.example import Example
from ofakit.data.json_files import captions_in, id_in, require, style_in, text_in
from ofakit.data.readers._splits import FileReader
from ofakit.errors import UsageError

__all__ = ["JsonLines"]

CAPTION_COLUMNS = ("text", "caption", "captions", "references")


class JsonLines(FileReader):
    """Read one JSON-lines file per split.

    Args:
        root: Folder of the data set; the other paths are relative to it.
        train: File of the training split.
        val: File of the validation split.
        test: File of the test split.
        images: Folder of the images.
        image_column: The column that names the image's file; null, or no such column, means an example without one.
        text_column: The column of captions; None takes the first of text, caption, captions and references there is.
        style_column: The column of the style; rows may lack it.
        id_column: The column of the id; rows may lack it.
        style: The style of rows that name none.
        splits: Files of further splits by name.

    Raises:
        UsageError: No split has a file.
    """

    def __init__(
        self,
        root: str | Path | None = None,
        train: str | None = None,
        val: str | None = None,
        test: str | None = None,
        images: str | Path = ".",
        image_column: str = "image",
        text_column: str | None = None,
        style_column: str = "style",
        id_column: str = "id",
        style: str | None = None,
        splits: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(root, {"train": train, "val": val, "test": test, **(splits or {})}, images)
        if not self.files:
            raise UsageError("expected at least one split for the reader 'jsonl': name a file, such as \"train\"")
        self.image_column = image_column
        self.text_column = text_column
        self.style_column = style_column
        self.id_column = id_column
        self.style = style

    def examples(self, row: Mapping[str, Any], split: str) -> list[Example]:
        """The one example of a line.

        Args:
            row: A line of the file.
            split: The split it comes from.

        Raises:
            UsageError: The line has neither an image nor captions, or a cell is of the wrong type.
        """
        where = str(self.files[split])
        name = text_in(row.get(self.image_column), "a file name", f"{where}, column {self.image_column!r}")
        style = style_in(row.get(self.style_column), f"{where}, column {self.style_column!r}") or self.style
        column = self.text_column or next((column for column in CAPTION_COLUMNS if column in row), None)
        if name is None and column is None:
            require(row, self.image_column, where)
        captions = captions_in(require(row, column, where), f"{where}, column {column!r}") if column else ()
        if name is None and not captions:
            raise UsageError(f"expected an image or captions in {where}, found {str(dict(row))[:60]!r}")
        default = "#".join(piece for piece in (captions[0] if name is None else name, style) if piece is not None)
        own = id_in(row.get(self.id_column), f"{where}, column {self.id_column!r}")
        return [
            Example(
                id=default if own is None else own,
                image=None if name is None else str(self.images / name),
                references=captions,
                style=style,
            )
        ]
