"""A knowledge base on disk: the interface of `KnowledgeBase`, for bases larger than memory.

    base = StoredBase.build("work_dir/base", reader.passages())
    base = StoredBase("work_dir/base")

    base.json          how many passages and articles, a hash of them, and what they were read from
    passages.jsonl     a passage a line
    offsets.npy        (n + 1,) where each line begins, in bytes
    ids.npy            (n,) hashes of the passages' ids, sorted; places.npy: where each of them stands
    names.npy          (m,) hashes of the articles' ids, sorted; numbers.npy: which article each of them is
    members.npy        (n,) the passages of the first article, those of the second …; bounds.npy: (m + 1,)

Arrays are memory-mapped: a base needs 32 bytes on disk for each passage and 24 for each article beside the lines, and
no memory but for what is being read; building it takes some 50 bytes of memory a passage and 150 an article. Ids of
passages are compared as texts once their hashes are found equal. The files stay open: whoever has a base keeps it as it
was, also when the folder is replaced by another.
"""

from __future__ import annotations

import hashlib
import json
import os
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, overload

import numpy as np

from ofakit.data.json_files import read_json
from ofakit.data.passage import Passage
from ofakit.data.passage_base import PassageBase, passage_line
from ofakit.data.text_table import key_hash
from ofakit.errors import UsageError
from ofakit.files import replace_folder
from ofakit.json_text import to_json
from ofakit.platforms import BINARY, read_at

__all__ = ["StoredBase"]

VERSION = 1
ARRAYS = ("offsets", "ids", "places", "names", "numbers", "members", "bounds")
LINES_AT_ONCE = 1024


class StoredBase(PassageBase):
    """Passages in their order, read when they are asked for.

    Args:
        folder: What `build` wrote.

    Attributes:
        folder: Where it is.
        source: What `build` was told of where the passages come from.

    Raises:
        UsageError: It holds no base, or not all of one.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        described = read_json(self.folder / "base.json", "a stored base")
        if not isinstance(described, dict) or described.get("version") != VERSION:
            raise UsageError(f"expected a stored base of version {VERSION} in {folder}, found {described!r:.80}")
        self._arrays = {name: _mapped(self.folder / f"{name}.npy") for name in ARRAYS}
        self._count = len(self._arrays["offsets"]) - 1
        size = (self.folder / "passages.jsonl").stat().st_size
        if self._count != described["passages"] or int(self._arrays["offsets"][-1]) != size:
            raise UsageError(
                f"{folder}: the passages are not the ones that the base was built from; delete the folder to build it "
                "again"
            )
        self.source = described["source"]
        self.digest = described["digest"]
        self._handle = os.open(self.folder / "passages.jsonl", os.O_RDONLY | BINARY)

    def __reduce__(self) -> tuple[Any, ...]:
        return StoredBase, (self.folder,)

    def __del__(self) -> None:
        if hasattr(self, "_handle"):
            os.close(self._handle)

    @classmethod
    def build(cls, folder: str | Path, passages: Iterable[Passage], source: Any = None) -> StoredBase:
        """Write a base, one passage after the other, and open it.

        Args:
            folder: Where to; what is there is replaced once the new base is complete.
            passages: The passages; their images are paths or None.
            source: What tells later whether they would still be the same, fit for JSON.

        Returns:
            The base.

        Raises:
            UsageError: Two passages share an id, or an image is none that a file can name.
            SaveError: The disk is full or permission is missing; the old base is intact.
        """
        with replace_folder(Path(folder)) as new:
            written = _write_passages(new / "passages.jsonl", passages)
            _write_places(new, written)
            counts = {"passages": len(written.ids), "articles": len(written.names)}
            described = {"version": VERSION, **counts, "digest": written.digest, "source": source}
            (new / "base.json").write_text(to_json(described), encoding="utf-8")
        return cls(folder)

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, position: int) -> Passage: ...
    @overload
    def __getitem__(self, position: slice) -> list[Passage]: ...

    def __getitem__(self, position: int | slice) -> Passage | list[Passage]:
        """The passage at a position, or those of a slice.

        Args:
            position: From 0; negative ones count from the end.

        Raises:
            IndexError: There is none.
        """
        if isinstance(position, slice):
            first, last, step = position.indices(len(self))
            if step == 1:
                return [Passage(**json.loads(line)) for line in self._lines(first, last)]
            return [self[place] for place in range(first, last, step)]
        place = int(position) + (len(self) if position < 0 else 0)
        if not 0 <= place < len(self):
            raise IndexError(f"position {position} in a knowledge base of {len(self)} passages")
        (line,) = self._lines(place, place + 1)
        return Passage(**json.loads(line))

    def __iter__(self) -> Iterator[Passage]:
        for line in self._lines(0, len(self)):
            yield Passage(**json.loads(line))

    def __contains__(self, passage_id: object) -> bool:
        return isinstance(passage_id, str) and self._place(passage_id) is not None

    def position(self, passage_id: str) -> int:
        """Where a passage stands.

        Args:
            passage_id: Its id.

        Raises:
            UsageError: The base has no such passage.
        """
        place = self._place(passage_id)
        if place is None:
            some = ", ".join(repr(passage.id) for passage in self[:3])
            raise UsageError(f"no passage {passage_id!r} among the {len(self)} of the knowledge base, such as {some}")
        return place

    @property
    def articles(self) -> Mapping[str, Sequence[int]]:
        """The positions of each article's passages, in order; articles in the order of their first passage."""
        return _Articles(self, self._arrays)

    def _lines(self, first: int, last: int) -> Iterator[bytes]:
        """The lines from one position to another, some of them at once."""
        offsets = self._arrays["offsets"]
        for start in range(first, last, LINES_AT_ONCE):
            begin, end = int(offsets[start]), int(offsets[min(last, start + LINES_AT_ONCE)])
            yield from read_at(self._handle, end - begin, begin).splitlines()

    def _place(self, passage_id: str) -> int | None:
        wanted = np.uint64(key_hash(passage_id))
        ids, places = self._arrays["ids"], self._arrays["places"]
        for row in range(int(np.searchsorted(ids, wanted)), len(ids)):
            if ids[row] != wanted:
                return None
            if self[int(places[row])].id == passage_id:
                return int(places[row])
        return None


class _Articles(Mapping[str, list[int]]):
    """The positions of each article's passages."""

    def __init__(self, base: StoredBase, arrays: Mapping[str, np.ndarray]) -> None:
        self._base = base
        self._arrays = arrays

    def __len__(self) -> int:
        return len(self._arrays["bounds"]) - 1

    def __iter__(self) -> Iterator[str]:
        bounds, members = self._arrays["bounds"], self._arrays["members"]
        for start in bounds[:-1]:
            yield self._base[int(members[start])].article_id

    def __getitem__(self, article: str) -> list[int]:
        names, wanted = self._arrays["names"], np.uint64(key_hash(article))
        row = int(np.searchsorted(names, wanted))
        if row == len(names) or names[row] != wanted:
            raise KeyError(article)
        number = int(self._arrays["numbers"][row])
        start, end = self._arrays["bounds"][number : number + 2]
        return [int(place) for place in self._arrays["members"][start:end]]


def _mapped(path: Path) -> np.ndarray:
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except ValueError:
        # An empty array cannot be mapped.
        return np.load(path, allow_pickle=False)


class _Written(NamedTuple):
    """What is known of passages that were written.

    Attributes:
        offsets: (n + 1,) int64, where lines begin.
        ids: (n,) uint64, hashes of ids.
        article: (n,) int64, the number of each passage's article.
        names: (m,) uint64, hashes of the articles' ids in the order of their first passage.
        digest: Of all lines.
    """

    offsets: np.ndarray
    ids: np.ndarray
    article: np.ndarray
    names: np.ndarray
    digest: str


def _write_passages(path: Path, passages: Iterable[Passage]) -> _Written:
    """Write a line for each passage."""
    offsets, ids, article = array("q", [0]), array("Q"), array("q")
    numbers: dict[int, int] = {}
    digest = hashlib.blake2b(digest_size=16)
    with path.open("wb") as lines:
        for passage in passages:
            if passage.image is not None and passage.image_path is None:
                found = type(passage.image)
                raise UsageError(f"passage {passage.id!r}: a stored base records images by path, found {found}")
            line = passage_line(passage)
            lines.write(line)
            digest.update(line)
            offsets.append(offsets[-1] + len(line))
            ids.append(key_hash(passage.id))
            article.append(numbers.setdefault(key_hash(passage.article_id), len(numbers)))
    names = np.fromiter(numbers, np.uint64, len(numbers))
    arrays = np.frombuffer(offsets, np.int64), np.frombuffer(ids, np.uint64), np.frombuffer(article, np.int64)
    return _Written(*arrays, names, digest.hexdigest())


def _write_places(folder: Path, written: _Written) -> None:
    """Write where passages and articles are found; an array is let go of before the next one is made."""
    np.save(folder / "offsets.npy", written.offsets)
    for values, sorted_name, places_name in ((written.ids, "ids", "places"), (written.names, "names", "numbers")):
        places = np.argsort(values, kind="stable")
        np.save(folder / f"{places_name}.npy", places)
        found = values[places]
        np.save(folder / f"{sorted_name}.npy", found)
        if sorted_name == "ids":
            _refuse_equal(folder / "passages.jsonl", written.offsets, found, places)
        del places, found
    members = np.argsort(written.article, kind="stable")
    np.save(folder / "members.npy", members)
    bounds = np.cumsum([0, *np.bincount(written.article, minlength=len(written.names))])
    np.save(folder / "bounds.npy", bounds)


def _refuse_equal(path: Path, offsets: np.ndarray, ids: np.ndarray, places: np.ndarray) -> None:
    """Refuse two passages of one id; hashes that are equal by chance do not matter."""
    with path.open("rb") as lines:

        def own(place: int) -> str:
            lines.seek(int(offsets[place]))
            return json.loads(lines.readline())["id"]

        for row in np.flatnonzero(ids[1:] == ids[:-1]):
            first, second = int(places[row]), int(places[row + 1])
            if own(first) == own(second):
                message = f"passages {first + 1} and {second + 1} of the knowledge base share the id {own(first)!r}"
                raise UsageError(message)
