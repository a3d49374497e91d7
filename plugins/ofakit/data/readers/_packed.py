"""Shared by readers of files that contain images: which files a split has, and rows like those of `jsonl`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ofakit.data.json_files import require_file
from ofakit.data.readers._unpacked import unpacked_rows
from ofakit.data.readers.jsonl import CAPTION_COLUMNS, JsonLines
from ofakit.errors import UsageError

__all__ = ["PackedReader", "packed_files"]

RANGE = re.compile(r"\{(\d{1,9})\.\.(\d{1,9})\}")


class PackedReader(JsonLines):
    """Read rows whose images are inside the files; a member says how they are packed, by `packed_rows`."""

    def packed_rows(self, split: str) -> Iterator[tuple[Mapping[str, Any], bytes | None]]:
        """Every row of a split, fit for JSON and without its image, and the image where it is inside.

        Args:
            split: The split.
        """
        raise NotImplementedError

    def file_rows(self, split: str) -> list[Any]:
        """Every row of a split, its image as a file.

        Args:
            split: The split.
        """
        files = packed_files(self.files[split], split)
        return unpacked_rows(
            files, self.unpack_to, lambda: self.packed_rows(split), {"columns": self.columns()}, self.image_column
        )

    def columns(self) -> list[str]:
        """The columns that a row may be made of."""
        texts = CAPTION_COLUMNS if self.text_column is None else (self.text_column,)
        regions = [] if self.regions_column is None else [self.regions_column, "width", "height"]
        return [self.image_column, *texts, self.style_column, self.id_column, self.group_column, *regions]


def packed_files(path: Path, split: str) -> list[Path]:
    """The files of a split, in the order of their names.

    Args:
        path: A file, or a pattern: `train-*.tar`, or a range such as `train-{000..012}.tar`.
        split: The split, for the message.

    Raises:
        UsageError: There is no such file.
    """
    found = RANGE.search(str(path))
    if found:
        first, last = found.groups()
        numbers = (str(number).zfill(len(first)) for number in range(int(first), int(last) + 1))
        beginning, end = str(path)[: found.start()], str(path)[found.end() :]
        return [require_file(Path(f"{beginning}{number}{end}"), f"captions of split {split!r}") for number in numbers]
    if not set("*?[") & set(path.name):
        return [require_file(path, f"captions of split {split!r}")]
    files = sorted(path.parent.glob(path.name))
    if not files:
        raise UsageError(f"expected captions of split {split!r} in {path}; no file has such a name. Check data.root")
    return files
