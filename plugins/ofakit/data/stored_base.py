"""A knowledge base on disk: what `KnowledgeBase` offers, for bases that memory does not hold.

    base = StoredBase.build("work_dir/base", reader.passages())
    base = StoredBase("work_dir/base")

    base.json          how many passages and articles
    passages.jsonl     a passage a line
    offsets.npy        (n + 1,) where each line begins, in bytes
    ids.npy            (n,) hashes of the passages' ids, sorted; places.npy: where each of them stands
    names.npy          (m,) hashes of the articles' ids, sorted; numbers.npy: which article each of them is
    members.npy        (n,) the passages of the first article, those of the second …; bounds.npy: (m + 1,)

Arrays are memory-mapped: a base needs 40 bytes on disk for each passage beside its line, and no memory but for what is
being read. Ids of passages are compared as texts once their hashes are found equal.
"""

from __future__ import annotations

import json
import os
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np

from ofakit.data.json_files import read_json
from ofakit.data.passage import Passage
from ofakit.data.text_table import key_hash
from ofakit.errors import UsageError
from ofakit.files import replace_folder

__all__ = ["StoredBase"]

VERSION = 1
ARRAYS = ("offsets", "ids", "places", "names", "numbers", "members", "bounds")


class StoredBase(Sequence[Passage]):
    """Passages in their order, read when they are asked for.

    Args:
        folder: What `build` wrote.

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
            raise UsageError(f"{folder}: the passages are not those that the base was built of; build it anew")
        self._handle = os.open(self.folder / "passages.jsonl", os.O_RDONLY)

    def __del__(self) -> None:
        if hasattr(self, "_handle"):
            os.close(self._handle)

    @classmethod
    def build(cls, folder: str | Path, passages: Iterable[Passage]) -> StoredBase:
        """Write a base, one passage after the other, and open it.

        Args:
            folder: Where to; what is there is replaced once the new base is complete.
            passages: The passages; their images are paths or None.

        Returns:
            The base.

        Raises:
            UsageError: Two passages share an id, or an image is none that a file can name.
            SaveError: The disk is full or permission is missing; the old base is intact.
        """
        with replace_folder(Path(folder)) as new:
            offsets, ids, article, names = _write_passages(new / "passages.jsonl", passages)
            places, numbers = np.argsort(ids, kind="stable"), np.argsort(names, kind="stable")
            _refuse_equal(new / "passages.jsonl", offsets, ids[places], places)
            members = np.argsort(article, kind="stable")
            bounds = np.searchsorted(article[members], np.arange(len(names) + 1))
            arrays = (offsets, ids[places], places, names[numbers], numbers, members, bounds)
            for name, values in zip(ARRAYS, arrays, strict=True):
                np.save(new / f"{name}.npy", values)
            described = {"version": VERSION, "passages": len(ids), "articles": len(names)}
            (new / "base.json").write_text(json.dumps(described), encoding="utf-8")
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
            return [self[place] for place in range(*position.indices(len(self)))]
        place = int(position) + (len(self) if position < 0 else 0)
        if not 0 <= place < len(self):
            raise IndexError(f"position {position} in a base of {len(self)} passages")
        start, end = (int(value) for value in self._arrays["offsets"][place : place + 2])
        return Passage(**json.loads(os.pread(self._handle, end - start, start)))

    def __iter__(self) -> Iterator[Passage]:
        with (self.folder / "passages.jsonl").open("rb") as lines:
            for line in lines:
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
            raise UsageError(f"no passage {passage_id!r} among the {len(self)} of the base, such as {some}")
        return place

    @property
    def articles(self) -> Mapping[str, list[int]]:
        """The positions of each article's passages, in order; articles in the order of their first passage."""
        return _Articles(self, self._arrays)

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


def _write_passages(path: Path, passages: Iterable[Passage]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Write a line for each passage.

    Returns:
        Where lines begin (n + 1,), hashes of ids (n,), the number of each passage's article (n,), and hashes of the
        articles' ids in the order of their first passage (m,).
    """
    offsets, ids, article = array("q", [0]), array("Q"), array("q")
    numbers: dict[int, int] = {}
    with path.open("wb") as lines:
        for passage in passages:
            line = json.dumps(_row(passage), ensure_ascii=False).encode("utf-8", "surrogatepass") + b"\n"
            lines.write(line)
            offsets.append(offsets[-1] + len(line))
            ids.append(key_hash(passage.id))
            article.append(numbers.setdefault(key_hash(passage.article_id), len(numbers)))
    names = np.fromiter(numbers, np.uint64, len(numbers))
    return np.array(offsets, np.int64), np.array(ids, np.uint64), np.array(article, np.int64), names


def _row(passage: Passage) -> dict[str, Any]:
    if passage.image is not None and passage.image_path is None:
        raise UsageError(f"passage {passage.id!r}: a stored base keeps images by path, found {type(passage.image)}")
    fields = {"id": passage.id, "text": passage.text, "title": passage.title, "image": passage.image_path}
    return {name: value for name, value in {**fields, "article": passage.article}.items() if value is not None}


def _refuse_equal(path: Path, offsets: np.ndarray, ids: np.ndarray, places: np.ndarray) -> None:
    """Refuse two passages of one id; hashes that are equal by chance do not matter."""
    with path.open("rb") as lines:

        def own(place: int) -> str:
            lines.seek(int(offsets[place]))
            return json.loads(lines.readline())["id"]

        for row in np.flatnonzero(ids[1:] == ids[:-1]):
            first, second = int(places[row]), int(places[row + 1])
            if own(first) == own(second):
                message = f"passages {first + 1} and {second + 1} of the base share the id {own(first)!r}"
                raise UsageError(message)
