"""Passages of a JSONL file, read when they are asked for, so that a base need not fit into memory.

{"id": "DZ-00", "text": "Arab and Amazigh dynasties .", "title": "Algeria", "image": "flags/DZ.png", "article": "DZ"}
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from pathlib import Path

from ofakit.data.json_files import id_in, jsonl_rows, require, require_file, text_in
from ofakit.data.passage import Passage
from ofakit.errors import UsageError

__all__ = ["PassageFile"]

STRIDE = 256


class PassageFile(Sequence[Passage]):
    """The lines of a file as passages; empty lines are skipped. `id`, or BEIR's `_id`, is required, all other
    keys are optional.

    Where lines begin is found once, for every 256th of them; what stands in a line is looked at when it is asked for.

    Args:
        path: UTF-8, one JSON object a line.
        images: The folder that relative paths of images start from; None: that of the file.

    Raises:
        UsageError: There is no such file.
    """

    def __init__(self, path: str | Path, images: str | Path | None = None) -> None:
        self.path = require_file(Path(path), "passages")
        self.images = self.path.parent if images is None else Path(images)
        self._starts, self._count = array("q"), 0
        with open(self.path, "rb") as file:
            start = 0
            for line in file:
                if line.strip():
                    if self._count % STRIDE == 0:
                        self._starts.append(start)
                    self._count += 1
                start += len(line)

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, position):
        if isinstance(position, slice):
            first, last, step = position.indices(len(self))
            return self._read(first, last) if step == 1 else [self[n] for n in range(first, last, step)]
        place = position + len(self) if position < 0 else position
        if not 0 <= place < len(self):
            raise IndexError(position)
        return self._read(place, place + 1)[0]

    def _read(self, first: int, last: int) -> list[Passage]:
        """The passages from one position to another."""
        if first >= last:
            return []
        found: list[Passage] = []
        with open(self.path, "rb") as file:
            file.seek(self._starts[first // STRIDE])
            number = first - first % STRIDE
            for line in file:
                if line.strip():
                    if number >= first:
                        found.append(self._passage(line, number))
                    number += 1
                if number >= last:
                    break
        return found

    def _passage(self, line: bytes, number: int) -> Passage:
        where = f"{self.path}, passage {number + 1}"
        (row,) = jsonl_rows(line, "passages", where)
        image = text_in(row.get("image"), "the path of an image", where)
        name = id_in(require(row, "_id" if "_id" in row and "id" not in row else "id", where), where)
        if not name:
            raise UsageError(f"expected an id in {where}, found none")
        return Passage(
            name,
            text=text_in(row.get("text"), "a text", where),
            title=text_in(row.get("title"), "a title", where),
            image=None if image is None else self.images / image,
            article=id_in(row.get("article"), where),
        )
