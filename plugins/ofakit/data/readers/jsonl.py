"""Plain JSON lines, or one JSON list of the same objects: an image, its captions, perhaps a style.

    {"type": "jsonl", "root": "shared/data", "images": "flickr8k/images",
     "train": "flickr8k/captions_train.jsonl", "val": "flickr8k/captions_val.jsonl"}

A line is {"image": "dog.jpg", "captions": ["…", "…"]}. The captions are in the first of the columns `text`, `caption`,
`captions` and `references` that there is, as one text or a list; `style` and `id` are optional. Lines that share image
and style, and their `id` where they have one, become one example. Images in base64 beside the captions are written out
as files once, with `"encoding": "base64"`. Scores are also given by `group`, where lines have one. With
`"regions_column": "regions"` that column lists what is said about parts of the image, as `ofakit.data.region_texts`
reads it; `width` and `height` are those of the image where boxes are in pixels.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ofakit.data.example import Example
from ofakit.data.json_files import captions_in, id_in, require, style_in, text_in
from ofakit.data.readers._splits import FileReader
from ofakit.data.readers._unpacked import FOLDER, from_base64, unpacked_rows
from ofakit.data.region_texts import RegionText, region_texts_in
from ofakit.errors import UsageError

__all__ = ["JsonLines"]

LONGEST_NAME = 1000
CAPTION_COLUMNS = ("text", "caption", "captions", "references")


class JsonLines(FileReader):
    """Read one file of JSON lines, or of a JSON list, per split.

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
        group_column: The column of the group that an example is also scored by; rows may lack it.
        regions_column: The column of texts about parts of the image, which rows may lack; None reads none.
        style: The style of rows that name none.
        splits: Files of further splits by name.
        encoding: What the image's column holds: "path", or "base64" for the image itself.
        unpack_to: Where images in base64 are written, relative to the working directory.

    Raises:
        UsageError: No split has a file, or the encoding is unknown.
    """

    name = "jsonl"

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
        group_column: str = "group",
        regions_column: str | None = None,
        style: str | None = None,
        splits: Mapping[str, str] | None = None,
        encoding: str = "path",
        unpack_to: str = FOLDER,
    ) -> None:
        super().__init__(root, {"train": train, "val": val, "test": test, **(splits or {})}, images)
        if not self.files:
            raise UsageError(f'expected at least one split for the reader {self.name!r}: name a file, such as "train"')
        if encoding not in ("path", "base64"):
            raise UsageError(f"encoding: expected path or base64, found {encoding!r}")
        self.image_column = image_column
        self.text_column = text_column
        self.style_column = style_column
        self.id_column = id_column
        self.group_column = group_column
        self.regions_column = regions_column
        self.style = style
        self.encoding = encoding
        self.unpack_to = unpack_to

    def rows(self, split: str) -> list[Any]:
        """Every row of a split's file, images in base64 written out.

        Args:
            split: The split.
        """
        rows = self.file_rows(split)
        if self.encoding == "path":
            return rows
        return unpacked_rows(
            [self.files[split]], self.unpack_to, lambda: map(self._decoded, rows), column=self.image_column
        )

    def file_rows(self, split: str) -> list[Any]:
        """Every row of a split's file, as it stands there; override it for another format.

        Args:
            split: The split.
        """
        return super().rows(split)

    def _decoded(self, row: Mapping[str, Any]) -> tuple[Mapping[str, Any], bytes | None]:
        cell = text_in(row.get(self.image_column), "an image in base64", f"column {self.image_column!r}")
        return row, None if cell is None else from_base64(cell)

    def examples(self, row: Mapping[str, Any], split: str) -> list[Example]:
        """The one example of a line.

        Args:
            row: A line of the file.
            split: The split it comes from.

        Raises:
            UsageError: The line has neither an image nor captions, or a cell is of the wrong type.
        """
        where = str(self.files[split])
        name = self._image_name(row, where)
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
                image=None if name is None else self.image(name),
                references=captions,
                style=style,
                group=text_in(row.get(self.group_column), "a group", f"{where}, column {self.group_column!r}"),
                region_texts=self._region_texts(row, where),
            )
        ]

    def _region_texts(self, row: Mapping[str, Any], where: str) -> tuple[RegionText, ...]:
        if self.regions_column is None:
            return ()
        place = f"{where}, column {self.regions_column!r}"
        return region_texts_in(row.get(self.regions_column), place, row.get("width"), row.get("height"))

    def _image_name(self, row: Mapping[str, Any], where: str) -> str | None:
        place = f"{where}, column {self.image_column!r}"
        name = text_in(row.get(self.image_column), "a file name", place)
        if name is not None and len(name) > LONGEST_NAME:
            raise UsageError(
                f"expected a file name in {place}, found {len(name)} characters: {name[:20]!r} …; "
                'if that is an image in base64, set "encoding": "base64" in the reader'
            )
        return name
