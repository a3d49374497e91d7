"""The regions of pictures on disk, memory-mapped, made once for all experiments.

    store = RegionStore.make("regions", width=2048, made_by={"network": "resnet101_clip"}, dtype="float16")
    store.add({"images/dog.jpg": regions})
    store = RegionStore("regions")
    store.regions("dog.jpg").features          # (N, 2048) float32

    store.json      format, width, type, and what made the features; features of anything else are refused
    index.jsonl     a line a picture: its name, its first row, how many, whether there are boxes, a CRC-32 of them
    features.bin    rows of `width` numbers
    boxes.bin       four numbers a row, zeros where there is no box
    network/        what made them, for pictures that are not here (`models.live_regions`)

Pictures may have different numbers of regions. Rows are written before the line that names them, under a lock, so that
several processes may share a store; what a killed process left behind the last whole line is overwritten by the next
that adds. The disk is made to keep what was added every few seconds, and by `sync`: a killed process loses nothing that
it had added, and where the power fails at most these seconds are lost. A picture whose rows do not fit their CRC counts
as absent for `absent`, and is refused by `regions`. A later line about a picture replaces an earlier one.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from ofakit.data.json_files import read_json
from ofakit.data.regions import Regions, key_spellings
from ofakit.errors import UsageError
from ofakit.files import saving, write_text
from ofakit.json_text import NotJson, from_json, to_json
from ofakit.locks import locked
from ofakit.platforms import sync

__all__ = ["LOCK", "STORE", "RegionStore", "in_type"]

STORE, INDEX, FEATURES, BOXES, LOCK = "store.json", "index.jsonl", "features.bin", "boxes.bin", "lock"
FORMAT = {"format": "ofakit region store", "version": 1}
TYPES = {"float32": "<f4", "float16": "<f2"}
BOX_BYTES = 16
SYNC_EVERY = 5.0
"""Seconds of work that a power failure may cost. Waiting for a busy disk takes longer than adding to the store."""


class _Entry(NamedTuple):
    """A line of the index."""

    first: int
    rows: int
    boxes: bool
    crc: int
    image: str | None


class RegionStore:
    """Read a store, and add to it.

    Args:
        folder: Where it is.

    Raises:
        UsageError: There is none, or it is of another version.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder).expanduser()
        header = read_json(self.folder / STORE, "a region store, made by `ofakit data features`,")
        self.header: dict[str, Any] = header if isinstance(header, dict) else {}
        if {key: self.header.get(key) for key in FORMAT} != FORMAT or self.header.get("dtype") not in TYPES:
            raise UsageError(f"expected {FORMAT} in {self.folder / STORE}, found {header!r:.200}; make the store again")
        self.dtype = np.dtype(TYPES[self.header["dtype"]])
        self._entries: dict[str, _Entry] = {}
        self._read_bytes = 0
        self._end = 0  # the row behind the last one that a line names
        self._checked: set[str] = set()
        self._mapped: tuple[np.ndarray, np.ndarray] | None = None
        self._synced = float("-inf")
        self._read_new()

    @classmethod
    def make(
        cls,
        folder: str | Path,
        width: int,
        made_by: Mapping[str, Any],
        dtype: Literal["float32", "float16"] = "float32",
    ) -> RegionStore:
        """A store to add to: a new one, or the one that is there, of the same features.

        Args:
            folder: Where it is, or shall be.
            width: Numbers of a region's features.
            made_by: All that features depend on, such as network, fingerprint of its weights and size of images; fit
                for JSON.
            dtype: What they are kept in.

        Raises:
            UsageError: The store that is there holds features of something else.
            SaveError: The disk refused.
        """
        folder = Path(folder).expanduser()
        header = from_json(to_json({**FORMAT, "width": width, "dtype": dtype, "made_by": dict(made_by)}))
        with locked(folder / LOCK):
            if not (folder / STORE).exists():
                write_text(folder / STORE, to_json(header, indent=1) + "\n")
        store = cls(folder)
        if store.header != header:
            raise UsageError(
                f"{folder} holds regions made by {_difference(store.header, header)}; features of two networks cannot "
                "share a store: choose another folder, or delete this one"
            )
        return store

    @property
    def width(self) -> int:
        """Numbers of a region's features."""
        return int(self.header["width"])

    def __len__(self) -> int:
        """How many pictures it has."""
        return len(self._entries)

    def __contains__(self, key: object) -> bool:
        """Whether it has a picture.

        Args:
            key: As for `regions`.
        """
        return isinstance(key, str) and self._found(key) is not None

    def __getstate__(self) -> dict[str, Any]:
        """For loading processes, which map the files themselves."""
        return {**self.__dict__, "_mapped": None, "_synced": float("-inf")}

    def names(self) -> list[str]:
        """The names of its pictures, as they were added first."""
        return list(self._entries)

    def regions(self, key: str) -> Regions:
        """The regions of a picture.

        Args:
            key: Its name or path; `ofakit.data.regions.key_spellings` says how it is sought.

        Raises:
            UsageError: It has none of that picture, or they are damaged.
        """
        name = self._found(key)
        if name is None:
            raise UsageError(
                f"no regions of {key!r} in {self.folder}, which has those of {len(self)} images"
                f"{_such_as(self._entries)}; add it with `ofakit data features`"
            )
        if name not in self._checked and not self._intact(name):
            raise UsageError(f"the regions of {key!r} in {self.folder} are damaged; compute them again")
        self._checked.add(name)
        features, boxes = self._rows_of(self._entries[name])
        return Regions(features.astype(np.float32), np.array(boxes) if self._entries[name].boxes else None)

    def is_of_another(self, key: str, image: str | None) -> bool:
        """Whether the picture that is kept under a name is another one than a file that is called so.

        Args:
            key: A picture that is here.
            image: What the file holds, as it was given to `add`; None: nobody knows.
        """
        kept = self._entries[self._found(key) or key].image
        return kept is not None and image is not None and kept != image

    def absent(self, keys: Mapping[str, str | None]) -> list[str]:
        """The pictures that are still to be made: not there, damaged, or of a file that has changed.

        Args:
            keys: The name of each picture, and what its file holds, as it was given to `add`.
        """
        self._read_new()
        return [name for name, image in keys.items() if not self._is_whole(name, image)]

    def add(self, regions: Mapping[str, Regions], images: Mapping[str, str | None] | None = None) -> None:
        """Add pictures; other processes find them at once, and the disk keeps them after `SYNC_EVERY` or a `sync`.

        Args:
            regions: By name.
            images: What the file of each holds, such as a digest, by which `absent` knows that it has changed.

        Raises:
            UsageError: Features are of another width, or beyond the range of half precision.
            SaveError: The disk is full.
        """
        rows = {name: self._as_kept(name, own) for name, own in regions.items()}
        with locked(self.folder / LOCK), saving(self.folder):
            self._read_new()
            first, lines = self._end, []
            with _opened(self.folder / FEATURES) as features, _opened(self.folder / BOXES) as boxes:
                features.seek(first * self.width * self.dtype.itemsize)
                boxes.seek(first * BOX_BYTES)
                for name, (kept, places) in rows.items():
                    features.write(kept.tobytes())
                    boxes.write(places.tobytes())
                    line = {"key": name, "first": first, "rows": len(kept), "boxes": regions[name].boxes is not None}
                    line |= {"crc": _crc(kept, places), "image": (images or {}).get(name)}
                    lines.append(to_json(line) + "\n")
                    first += len(kept)
            self._append("".join(lines).encode())
        self._read_new()
        if time.monotonic() - self._synced >= SYNC_EVERY:
            self.sync()

    def sync(self) -> None:
        """Wait until the disk keeps all that was added.

        Raises:
            SaveError: The disk refuses.
        """
        with saving(self.folder):
            for name in (FEATURES, BOXES, INDEX):
                if (self.folder / name).exists():
                    sync(self.folder / name)
        self._synced = time.monotonic()

    def _as_kept(self, name: str, own: Regions) -> tuple[np.ndarray, np.ndarray]:
        if own.features.shape[1] != self.width:
            raise UsageError(f"expected features of {self.width} numbers for {name!r}, found {own.features.shape[1]}")
        return in_type(own.features, self.dtype, name), own.placed().astype("<f4")

    def _append(self, lines: bytes) -> None:
        """Add whole lines behind the last whole one."""
        with _opened(self.folder / INDEX) as index:
            index.truncate(self._read_bytes)
            index.seek(self._read_bytes)
            index.write(lines)

    def _read_new(self) -> None:
        """Read the lines that were added since."""
        path = self.folder / INDEX
        if not path.exists():
            return
        with path.open("rb") as index:
            index.seek(self._read_bytes)
            content = index.read()
        whole = content[: content.rfind(b"\n") + 1]
        for line in whole.split(b"\n")[:-1]:
            if b"\0" in line:  # a power failure may leave zeros where lines had not reached the disk
                continue
            try:
                row = from_json(line)
                entry = _Entry(row["first"], row["rows"], row["boxes"], row["crc"], row["image"])
            except (NotJson, KeyError, TypeError) as error:
                raise UsageError(f"{path} is damaged: {error}; delete {self.folder} and make it again") from None
            self._entries[row["key"]] = entry
            self._end = max(self._end, entry.first + entry.rows)
            self._checked.discard(row["key"])
        self._read_bytes += len(whole)

    def _found(self, key: str) -> str | None:
        """The name under which a picture is kept."""
        return next((name for name in key_spellings(key) if name in self._entries), None)

    def _is_whole(self, name: str, image: str | None) -> bool:
        entry = self._entries.get(name)
        return entry is not None and entry.image == image and self._intact(name)

    def _intact(self, name: str) -> bool:
        entry = self._entries[name]
        features, boxes = self._rows_of(entry)
        return len(features) == len(boxes) == entry.rows and _crc(features, boxes) == entry.crc

    def _rows_of(self, entry: _Entry) -> tuple[np.ndarray, np.ndarray]:
        end = entry.first + entry.rows
        if self._mapped is None or len(self._mapped[0]) < end:
            features = _mapped(self.folder / FEATURES, self.dtype, self.width)
            self._mapped = features, _mapped(self.folder / BOXES, np.dtype("<f4"), 4)
        features, boxes = self._mapped
        return features[entry.first : end], boxes[entry.first : end]


def in_type(features: np.ndarray, dtype: np.dtype, name: str) -> np.ndarray:
    """Features in the type in which they are kept.

    Args:
        features: (N, f).
        dtype: float32 or float16.
        name: Whose they are, for the message.

    Raises:
        UsageError: They are beyond its range.
    """
    with np.errstate(over="ignore"):
        kept = features.astype(dtype)
    if not np.isfinite(kept).all():
        raise UsageError(f"features of {name!r} exceed the range of float16; store them as float32", "dtype")
    return kept


def _opened(path: Path) -> Any:
    """A file to write into at a place; made where it is missing."""
    path.touch()
    return path.open("r+b")


def _mapped(path: Path, dtype: np.dtype, width: int) -> np.ndarray:
    """The whole rows of a file."""
    rows = path.stat().st_size // (dtype.itemsize * width) if path.exists() else 0
    return np.memmap(path, dtype, "r", shape=(rows, width)) if rows else np.zeros((0, width), dtype)


def _crc(features: np.ndarray, boxes: np.ndarray) -> int:
    return zlib.crc32(boxes.tobytes(), zlib.crc32(features.tobytes()))


def _such_as(names: Iterable[str]) -> str:
    first = next(iter(names), None)
    return "" if first is None else f", such as {first!r}"


def _difference(there: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    """What two headers differ in."""
    flat = [{**own.get("made_by", {}), "width": own["width"], "dtype": own["dtype"]} for own in (there, wanted)]
    keys = [key for key in dict.fromkeys([*flat[0], *flat[1]]) if flat[0].get(key) != flat[1].get(key)]
    found, asked = ({key: own.get(key) for key in keys} for own in flat)
    return f"{found}, expected {asked}"
