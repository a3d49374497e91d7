"""Tables of comma-separated values, as spreadsheets and Kaggle write them: an image, its caption, perhaps a style.

    {"type": "csv", "root": "mine", "train": "train.csv", "val": "val.csv", "images": "photos"}

The first line names the columns, which are those of the reader `jsonl`; rows that share image and style become one
example. Columns are separated by comma, semicolon or tab, whichever the first line has most of. Empty cells are missing
ones. A byte order mark and line ends of any system are passed over.
"""

from __future__ import annotations

import csv
import io
from typing import Any

from ofakit.data.json_files import require_file
from ofakit.data.readers.jsonl import JsonLines
from ofakit.errors import UsageError

__all__ = ["Csv"]


class Csv(JsonLines):
    """Read one table per split; takes the arguments of `jsonl`."""

    name = "csv"

    def file_rows(self, split: str) -> list[Any]:
        """Every row of a split's table, by the names of its columns, without empty cells.

        Args:
            split: The split.

        Raises:
            UsageError: The file is missing or no UTF-8 text, or a row has more cells than there are columns.
        """
        path = require_file(self.files[split], f"a table of split {split!r}")
        try:
            text = path.read_bytes().decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise UsageError(f"expected a table as UTF-8 text in {path}, found: {error}. Save it as UTF-8") from error
        first = text.partition("\n")[0]
        table = csv.DictReader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=first.count))
        try:
            rows = [(table.line_num, row) for row in table]
        except csv.Error as error:
            raise UsageError(f"{path}: line {table.line_num}: {error}") from None
        for number, row in rows:
            if None in row:
                raise UsageError(
                    f"expected {len(table.fieldnames or ())} cells in {path}, line {number}, found {row[None]} after "
                    "them; put quotes around cells that contain commas"
                )
        return [{column: cell for column, cell in row.items() if cell} for _, row in rows]
