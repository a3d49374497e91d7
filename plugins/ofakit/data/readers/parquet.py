"""Parquet files, as the Hugging Face hub keeps data sets: images inside, captions beside them.

    {"type": "parquet", "root": "flickr30k", "train": "data/train-*.parquet", "test": "data/test-*.parquet"}

The columns are those of the reader `jsonl`. An image is the struct {"bytes", "path"} of `datasets`, plain bytes, or the
name of a file. Images inside the files are written out once, to `unpack_to`. Needs pyarrow, which `datasets` brings.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ofakit.data.readers._packed import PackedReader, packed_files
from ofakit.data.row_files import iter_rows
from ofakit.errors import UsageError

__all__ = ["Parquet"]


class Parquet(PackedReader):
    """Read Parquet files; takes the arguments of `jsonl`, and patterns such as `train-*.parquet` as files."""

    name = "parquet"

    def packed_rows(self, split: str) -> Iterator[tuple[Mapping[str, Any], bytes | None]]:
        """Every row of a split without its image, and the image where it is inside.

        Args:
            split: The split.

        Yields:
            Rows in the order of the files.

        Raises:
            UsageError: A file is missing or broken, or a cell holds no image.
        """
        for file in packed_files(self.files[split], split):
            for where, row in iter_rows(file, f"captions of split {split!r}", self.columns()):
                cell = row.pop(self.image_column, None)
                content = cell.get("bytes") if isinstance(cell, Mapping) else cell if isinstance(cell, bytes) else None
                name = cell.get("path") if isinstance(cell, Mapping) else cell
                if content is None and name is not None:
                    if not isinstance(name, str):
                        raise UsageError(f"expected an image or a file name in {where}, found {str(name)[:60]!r}")
                    row[self.image_column] = name
                yield row, content
