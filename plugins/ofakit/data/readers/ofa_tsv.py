"""The tab-separated files that OFA is trained on: an image in base64 and its captions on each line.

    {"type": "ofa_tsv", "root": "caption_data", "train": "caption_stage1_train.tsv", "val": "caption_val.tsv"}

A line is uniq-id, image-id, captions, object labels, image. Several captions in one cell are parted by `&&`; lines that
share the image-id and the image become one example, called by the uniq-id of the first. Images are written out once, to
`unpack_to`.

Source of the format: datasets.md of https://github.com/OFA-Sys/OFA
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ofakit.data.example import Example
from ofakit.data.json_files import require_file
from ofakit.data.readers._splits import FileReader
from ofakit.data.readers._unpacked import FOLDER, from_base64, unpacked_rows
from ofakit.errors import UsageError, did_you_mean

__all__ = ["OfaTsv"]

COLUMNS: Mapping[str, int | None] = {"id": 0, "image_id": 1, "caption": 2, "image": 4}
BETWEEN = "&&"


class OfaTsv(FileReader):
    """Read OFA's tab-separated files; a row is an image with its captions.

    Args:
        root: Folder of the data set; the other paths are relative to it.
        train: File of the training split.
        val: File of the validation split.
        test: File of the test split.
        columns: Where on a line `id`, `image_id`, `caption` and `image` stand, from 0, if not as OFA has them; null
            for an `image_id` that there is not.
        style: The style of every caption.
        splits: Files of further splits by name.
        unpack_to: Where the images are written, relative to the working directory.

    Raises:
        UsageError: `columns` names something else.
    """

    def __init__(
        self,
        root: str | Path | None = None,
        train: str | None = "caption_train.tsv",
        val: str | None = "caption_val.tsv",
        test: str | None = None,
        columns: Mapping[str, int | None] | None = None,
        style: str | None = None,
        splits: Mapping[str, str] | None = None,
        unpack_to: str = FOLDER,
    ) -> None:
        super().__init__(root, {"train": train, "val": val, "test": test, **(splits or {})}, ".")
        for name in columns or {}:
            if name not in COLUMNS:
                raise UsageError(f"unknown column {name!r} of the reader 'ofa_tsv': {did_you_mean(name, COLUMNS)}")
        self.columns = {**COLUMNS, **(columns or {})}
        self.style = style
        self.unpack_to = unpack_to

    def rows(self, split: str) -> list[dict[str, Any]]:
        """One row per image: {"id", "image", "captions"}.

        Args:
            split: The split.

        Raises:
            UsageError: The file is missing, or a line has too few cells or is not UTF-8.
        """
        path = require_file(self.files[split], f"captions of split {split!r}")
        found: dict[tuple[str, str], dict[str, Any]] = {}
        for row in unpacked_rows([path], self.unpack_to, lambda: self._lines(path), self.columns):
            own = row["id"] if row["image_id"] is None else row["image_id"]
            first = found.setdefault((own, row["image"]), {**row, "captions": []})
            first["captions"] += row["caption"].split(BETWEEN)
        return list(found.values())

    def examples(self, row: Mapping[str, Any], split: str) -> list[Example]:
        """The one example of an image.

        Args:
            row: One of `rows`.
            split: The split it comes from.
        """
        return [Example(row["id"], row["image"], None, tuple(row["captions"]), self.style)]

    def _lines(self, path: Path) -> Iterator[tuple[dict[str, Any], bytes]]:
        needed = 1 + max(place for place in self.columns.values() if place is not None)
        with path.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                cells = line.rstrip(b"\r\n").split(b"\t")
                if cells == [b""]:
                    continue
                if len(cells) < needed:
                    raise UsageError(
                        f"expected {needed} cells separated by tabs in {path}, line {number}, found {len(cells)}; give "
                        "their positions in columns, as in {'id': 0, 'image_id': null, 'caption': 1, 'image': 2}"
                    )
                yield self._row(cells, f"{path}, line {number}")

    def _row(self, cells: list[bytes], where: str) -> tuple[dict[str, Any], bytes]:
        try:
            texts = {
                name: None if place is None else cells[place].decode("utf-8") for name, place in self.columns.items()
            }
        except UnicodeDecodeError as error:
            raise UsageError(f"expected UTF-8 text in {where}, found: {error}") from error
        return texts, from_base64(texts.pop("image") or "")
