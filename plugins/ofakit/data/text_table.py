"""Short texts by key, for millions of keys: eight bytes of hash and eight of offset for each, and the texts.

images = TextTable((row["title"], row["image"]) for row in rows)
images.get("Alain Connes")
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from ofakit.errors import UsageError
from ofakit.files import replace_file

__all__ = ["TextTable", "key_hash"]


def key_hash(key: str) -> int:
    """A hash of a key, the same in every process.

    Args:
        key: Any text.

    Returns:
        64 bits; among ten million keys two share one with a probability of 3e-6.
    """
    return int.from_bytes(hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


class TextTable:
    """Texts found by key.

    Args:
        pairs: Keys and texts; of a key that occurs twice, the first text counts.

    >>> table = TextTable([("a", "x"), ("b", ""), ("a", "y")])
    >>> table.get("a"), table.get("b"), table.get("c"), len(table)
    ('x', '', None, 2)
    """

    def __init__(self, pairs: Iterable[tuple[str, str]] = ()) -> None:
        hashes, ends, texts = array("Q"), array("Q"), bytearray()
        for key, text in pairs:
            hashes.append(key_hash(key))
            texts += text.encode("utf-8", "surrogatepass")
            ends.append(len(texts))
        found, first = np.unique(np.frombuffer(hashes, np.uint64), return_index=True)
        bounds = np.concatenate([np.zeros(1, np.uint64), np.frombuffer(ends, np.uint64)])
        self._hashes = found
        self._starts, self._ends = bounds[first], bounds[first + 1]
        self._texts = bytes(texts)

    def __len__(self) -> int:
        return len(self._hashes)

    def get(self, key: str) -> str | None:
        """The text of a key, or None.

        Args:
            key: The key.
        """
        wanted = np.uint64(key_hash(key))
        place = int(np.searchsorted(self._hashes, wanted))
        if place == len(self._hashes) or self._hashes[place] != wanted:
            return None
        return self._texts[int(self._starts[place]) : int(self._ends[place])].decode("utf-8", "surrogatepass")

    def save(self, path: Path) -> None:
        """Write the table.

        Args:
            path: A file whose name ends with .npz.

        Raises:
            SaveError: The disk is full or permission is missing; the old file is intact.
        """
        texts = np.frombuffer(self._texts, np.uint8)
        with replace_file(path) as new, new.open("wb") as file:
            np.savez(file, hashes=self._hashes, starts=self._starts, ends=self._ends, texts=texts)

    @classmethod
    def load(cls, path: Path) -> TextTable:
        """Read a table that `save` wrote.

        Args:
            path: The file.

        Raises:
            UsageError: It holds something else.
        """
        table = cls()
        try:
            with np.load(path, allow_pickle=False) as arrays:
                table._hashes, table._starts, table._ends = arrays["hashes"], arrays["starts"], arrays["ends"]
                table._texts = arrays["texts"].tobytes()
        except (OSError, EOFError, ValueError, KeyError) as error:
            raise UsageError(
                f"expected a table of texts in {path}, found: {error}. Delete it to have it rebuilt"
            ) from error
        return table
