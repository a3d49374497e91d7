"""Tar archives in the layout of WebDataset, as img2dataset writes them: `000.jpg`, `000.txt` and `000.json` are a row.

    {"type": "webdataset", "root": "cc3m", "train": "{00000..00331}.tar", "val": "val-*.tar"}

The files of a row stand beside each other and share their name up to the first dot. The caption is that of `.txt`
(`.caption` and `.text` are taken too) or of `.json`, whose keys are the columns of the reader `jsonl`. Images are
written out once, to `unpack_to`; nothing is unpacked under a name from the archive.

Source of the layout: https://github.com/webdataset/webdataset
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from ofakit.data.image_folders import EXTENSIONS
from ofakit.data.readers._packed import PackedReader, packed_files
from ofakit.errors import UsageError
from ofakit.json_text import from_json

__all__ = ["WebDataset"]

TEXTS = (".txt", ".caption", ".text")
LARGEST = 1 << 28
"""Bytes of a file in an archive; a damaged header may speak of any number."""


class WebDataset(PackedReader):
    """Read tar archives; takes the arguments of `jsonl`, and patterns such as `train-{000..012}.tar` as files."""

    name = "webdataset"

    def packed_rows(self, split: str) -> Iterator[tuple[Mapping[str, Any], bytes | None]]:
        """Every row of a split without its image, and the image.

        Args:
            split: The split.

        Yields:
            Rows in the order of the archives.

        Raises:
            UsageError: An archive is missing or broken, or a `.json` in it is none.
        """
        for file in packed_files(self.files[split], split):
            try:
                for key, parts in _groups(file):
                    yield self._row(key, parts, file)
            except (tarfile.TarError, OverflowError, EOFError) as error:
                raise UsageError(f"expected a tar archive in {file}, found: {error}") from error

    def _row(self, key: str, parts: Mapping[str, bytes], file: Path) -> tuple[Mapping[str, Any], bytes | None]:
        row: dict[str, Any] = {}
        try:
            if ".json" in parts:
                row = from_json(parts[".json"])
            text = next((parts[suffix].decode("utf-8").strip() for suffix in TEXTS if suffix in parts), None)
        except ValueError as error:
            raise UsageError(f"expected UTF-8 text for the image {key!r} in {file}, found: {error}") from error
        if not isinstance(row, dict):
            raise UsageError(f"expected a JSON object in {file}, {key}.json, found {str(row)[:60]!r}")
        wanted = self.columns()
        row = {column: cell for column, cell in row.items() if column in wanted and column != self.image_column}
        if text is not None:
            row[self.text_column or "text"] = text
        row.setdefault(self.id_column, key)
        return row, next((content for suffix, content in parts.items() if suffix in EXTENSIONS), None)


def _groups(file: Path) -> Iterator[tuple[str, dict[str, bytes]]]:
    """The files of an archive that share their name up to the first dot, by what follows."""
    key, parts = "", dict[str, bytes]()
    with tarfile.open(file) as archive:
        for member in archive:
            if member.size > LARGEST:
                raise UsageError(f"expected images and texts in {file}, found {member.name} of {member.size} bytes")
            if not member.isfile() or PurePosixPath(member.name).name.startswith("."):
                continue
            stem, dot, suffix = PurePosixPath(member.name).name.partition(".")
            own = str(PurePosixPath(member.name).with_name(stem))
            if own != key and parts:
                yield key, parts
                parts = {}
            content = archive.extractfile(member)
            key, parts = own, {**parts, f"{dot}{suffix.lower()}": b"" if content is None else content.read()}
    if parts:
        yield key, parts
