"""Work in blocks that continues where a kill stopped it: finished blocks are kept beside the file that is made of them.

    journal = BlockJournal(Path("negatives.jsonl"), fingerprint)
    done = journal.finished()                       # {0: …, 2: …}, from every process and earlier start
    journal.add(1, content)
    journal.remove()                                # once the file itself is written

Each process appends lines to a file of its own, `.negatives.jsonl.part0`, whose first line says what the work is: a
journal of other work is not gone on with. A line that a kill cut off is dropped. Since contents come back from JSON in
either case, what is made of them is the same bit for bit, however often the work was killed.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ofakit.files import saving
from ofakit.json_text import from_json, to_json

__all__ = ["BlockJournal"]


class BlockJournal:
    """The finished blocks of some work.

    Args:
        final: The file that is made of them; the journal lies beside it.
        fingerprint: What the blocks depend on; blocks of other work are not taken.
        rank: Of this process.
    """

    def __init__(self, final: Path, fingerprint: str, rank: int = 0) -> None:
        self.final, self.fingerprint = final, fingerprint
        self.own = final.with_name(f".{final.name}.part{rank}")
        self._length: int | None = None

    def parts(self) -> list[Path]:
        """The files of all processes, also those of an earlier start with more of them."""
        return sorted(self.final.parent.glob(f".{self.final.name}.part*"))

    def finished(self) -> dict[int, Any]:
        """The content of every finished block, by its number."""
        return {number: content for path in self.parts() for number, content in self._read(path)[0]}

    def remove_others(self) -> None:
        """Remove what is left of other work."""
        for path in self.parts():
            if self._read(path)[1] == 0:
                path.unlink()

    def remove(self) -> None:
        """Remove all files of the journal."""
        for path in self.parts():
            path.unlink()

    def add(self, block: int, content: Any) -> None:
        """Keep a block; when this returns, it survives a kill.

        Args:
            block: Its number.
            content: What JSON can hold.

        Raises:
            SaveError: The disk is full or permission is missing.
        """
        with saving(self.own):
            if self._length is None:
                self.own.parent.mkdir(parents=True, exist_ok=True)
                self.own.touch()
                self._length = self._read(self.own)[1]
            lines = [] if self._length else [to_json({"fingerprint": self.fingerprint})]
            lines.append(to_json([block, content]))
            with open(self.own, "r+b") as file:
                file.truncate(self._length)
                file.seek(self._length)
                file.write("".join(f"{line}\n" for line in lines).encode())
                file.flush()
                os.fsync(file.fileno())
                self._length = file.tell()

    def _read(self, path: Path) -> tuple[list[tuple[int, Any]], int]:
        """The blocks in a file, and how many of its bytes are whole lines of this work."""
        content, blocks = path.read_bytes(), []
        header, _, rest = content.partition(b"\n")
        if _parsed(header) != {"fingerprint": self.fingerprint} or not content[len(header) :]:
            return [], 0
        length = len(header) + 1
        for line in rest.split(b"\n")[:-1]:
            found = _parsed(line)
            if not (isinstance(found, list) and len(found) == 2):
                break
            blocks.append((found[0], found[1]))
            length += len(line) + 1
        return blocks, length


def _parsed(line: bytes) -> Any:
    """The JSON of a line; None if there is none."""
    try:
        return from_json(line)
    except ValueError:
        return None
