"""Decoded images on disk as memory-mapped bytes, so that epochs after the first decode nothing.

    store = ImageStore("work_dir/images", size=256)
    bad = store.add_many(paths, workers=8)     # decode what is not there yet; the rest is found
    pixels = store[path]                       # (256, 256, 3) uint8, read-only, no copy

Below the directory there is one folder per size, which describes itself and is checked when it is opened:

    size_256/store.json   format, version, size and resampling
    size_256/index.bin    one record per row: digest of (absolute path, mtime, length), state, CRC-32 of the row
    size_256/rows.bin     the pixels, size * size * 3 bytes per row

Several processes may read and fill a store at once. Rows are assigned under a file lock; the bytes of a row are
written before its state, so a process that is killed leaves a row that counts as absent. The CRC, checked when a
process serves a row for the first time, catches what a power cut has torn. Others may read a store that they cannot
write, another user's for example: what is not in it they decode each time.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import logging
import mmap
import os
import shutil
import struct
import threading
import zlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from ofakit.data.decoding import BadImage, load_square
from ofakit.errors import UsageError
from ofakit.json_text import from_json, to_json
from ofakit.locks import locked
from ofakit.platforms import read_at, reserve, write_at

__all__ = ["ImageStore"]

log = logging.getLogger(__name__)

RECORD = struct.Struct("<32sII8x")
STATE = struct.Struct("<II")
STATE_OFFSET = 32
DONE = 1
DECODING = b"2"
"""Another one wherever `load_square` makes other pixels of a file, so that earlier rows are not taken for them."""
CHUNK_BYTES = 16 * 2**20
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class ImageStore:
    """Square RGB images of one size, decoded once. The module's docstring says what is on disk.

    An image is identified by its absolute path, modification time and length, so a changed file is decoded again. A
    process looks at a file once and serves what it found then, even if the file disappears while it runs.

    Args:
        directory: Where the stores are; each size gets a folder of its own in it. Several experiments may share it.
        size: Pixels per side, the `max_image_size` of the preprocessor.
        draft: Let the JPEG decoder shrink large images by 2, 4 or 8 while it decodes. Faster, but the pixels then
            differ slightly from Pillow's bicubic resize of the whole image, so it is kept apart from other stores.

    Raises:
        UsageError: The folder is not a store of this version and size, or can neither be written nor read.
    """

    def __init__(self, directory: str | Path, size: int, draft: bool = False) -> None:
        self.directory = Path(directory).expanduser().resolve()
        self.size = size
        self.draft = draft
        self.folder = self.directory / (f"size_{size}_draft" if draft else f"size_{size}")
        self._row_of_path: dict[str, int] = {}
        self._checked: set[int] = set()
        self._open()

    @property
    def row_bytes(self) -> int:
        """Bytes of one image."""
        return self.size * self.size * 3

    def bytes_needed(self, images: int) -> int:
        """Bytes that a number of images take on disk, and in the page cache if all are to stay in memory.

        Args:
            images: How many.
        """
        return images * (self.row_bytes + RECORD.size)

    def __len__(self) -> int:
        """How many rows have been assigned so far, by any process."""
        return os.fstat(self._index.fileno()).st_size // RECORD.size

    def __contains__(self, path: str | Path) -> bool:
        """Whether the image, as it is now, has been decoded."""
        with contextlib.suppress(BadImage):
            return self._done_row(_digest(str(path))) is not None
        return False

    def __getitem__(self, path: str | Path) -> np.ndarray:
        """The pixels of an image, decoded now if they are not in the store yet.

        Args:
            path: The image's file.

        Returns:
            (size, size, 3) uint8, read-only, a view of the mapped file.

        Raises:
            BadImage: It is missing or cannot be read.
            UsageError: The disk is full.
        """
        path = str(path)
        row = self._row_of_path.get(path)
        if row is None:
            digest = _digest(path)
            row = self._done_row(digest)
            if row is None and not self.writable:
                return self._decoded(path)
            if row is None:
                row = self._add(path, digest)
            self._row_of_path[path] = row
        if row not in self._checked:
            if not self._intact(row):
                if not self.writable:
                    return self._decoded(path)
                self._write(row, load_square(path, self.size, self.draft))
            self._checked.add(row)
        return self._view(row)

    def _decoded(self, path: str) -> np.ndarray:
        """The pixels of an image that cannot be put into the store."""
        pixels = load_square(path, self.size, self.draft)
        pixels.flags.writeable = False
        return pixels

    def add_many(
        self, paths: Iterable[str | Path], workers: int = 1, progress: Callable[[int, int], None] | None = None
    ) -> dict[str, str]:
        """Decode the images that are not in the store yet.

        Processes that train together may each add a share, wait for each other, and then each call this with all
        paths: it finds what the others have decoded, and every process learns about every bad image.

        Args:
            paths: Image files; duplicates are decoded once.
            workers: Threads that decode. Pillow releases Python's lock while it decodes and resizes.
            progress: Called with (done, all) after each decoded image.

        Returns:
            The reason for each image that is missing or cannot be read, by path.

        Raises:
            UsageError: The disk has no room for the new images; none of them was decoded.
        """
        todo, bad = self._absent(paths)
        if self.writable:
            self._check_room(len(todo))
        elif todo:
            log.warning(
                "%s is not writable: %d images that it does not contain are decoded every time", self.folder, len(todo)
            )

        def add(item: tuple[str, bytes]) -> tuple[str, int | None, str]:
            try:
                if self.writable:
                    return item[0], self._add(*item), ""
                self._decoded(item[0])
            except BadImage as error:
                return item[0], None, error.reason
            return item[0], None, ""

        with ThreadPoolExecutor(max(1, workers)) as pool:
            for done, (path, row, reason) in enumerate(pool.map(add, todo), start=1):
                if row is not None:
                    self._row_of_path[path] = row
                elif reason:
                    bad[path] = reason
                if progress is not None:
                    progress(done, len(todo))
        return bad

    def __getstate__(self) -> dict[str, Any]:
        kept = ("directory", "size", "draft", "folder", "_row_of_path", "_checked")
        return {name: getattr(self, name) for name in kept}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._open()

    def _open(self) -> None:
        self._rows_of_digest: dict[bytes, int] = {}
        self._records_read = 0
        self._pixels = np.empty((0, self.size, self.size, 3), np.uint8)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._check_header()
            self.writable = self._can_be_written()
            for name in ("index.bin", "rows.bin"):
                if self.writable:
                    (self.folder / name).touch()
            # Unbuffered and kept open for as long as the store; every access is a pread or pwrite with its own offset.
            mode = "r+b" if self.writable else "rb"
            self._index = open(self.folder / "index.bin", mode, buffering=0)  # noqa: SIM115
            self._rows = open(self.folder / "rows.bin", mode, buffering=0)  # noqa: SIM115
        except OSError as error:
            raise UsageError(
                f"cannot store images in {self.folder}: {error}. Set data.image_store to a writable folder"
            ) from error

    def _can_be_written(self) -> bool:
        """Whether images may be added; a store without its files needs it anyway."""
        files = [self.folder / name for name in ("index.bin", "rows.bin")]
        return not all(file.exists() for file in files) or all(os.access(p, os.W_OK) for p in (self.folder, *files))

    def _check_header(self) -> None:
        header = {"format": "ofakit image store", "version": 1, "size": self.size, "mode": "RGB"}
        header |= {"resample": "bicubic", "draft": self.draft}
        path = self.folder / "store.json"
        if not path.exists():
            if (self.folder / "rows.bin").exists():
                raise UsageError(
                    f"{self.folder} contains images but no store.json; delete the folder to decode them again"
                )
            _write_atomically(path, to_json(header).encode())
        try:
            found = from_json(path.read_bytes())
        except ValueError:
            found = "no JSON"
        if found != header:
            raise UsageError(
                f"expected {header} in {path}, found {found}. Delete {self.folder} to decode the images again"
            )

    def _absent(self, paths: Iterable[str | Path]) -> tuple[list[tuple[str, bytes]], dict[str, str]]:
        """(path, digest) of the images still to decode, and the reason for each that has no file."""
        todo, bad = [], {}
        for path in dict.fromkeys(str(path) for path in paths):
            if path in self._row_of_path:
                continue
            try:
                digest = _digest(path)
            except BadImage as error:
                bad[path] = error.reason
                continue
            row = self._done_row(digest)
            if row is None:
                todo.append((path, digest))
            else:
                self._row_of_path[path] = row
        return todo, bad

    def _done_row(self, digest: bytes) -> int | None:
        """The row of a digest, if its image has been written to it."""
        if digest not in self._rows_of_digest:
            self._read_new_records()
        row = self._rows_of_digest.get(digest)
        return row if row is not None and self._state(row)[0] == DONE else None

    def _read_new_records(self) -> None:
        start = self._records_read
        if len(self) <= start:
            return
        content = read_at(self._index.fileno(), (len(self) - start) * RECORD.size, start * RECORD.size)
        for k in range(len(content) // RECORD.size):
            self._rows_of_digest.setdefault(content[k * RECORD.size :][:STATE_OFFSET], start + k)
        self._records_read = start + len(content) // RECORD.size

    def _state(self, row: int) -> tuple[int, int]:
        """State and CRC of a row."""
        content = read_at(self._index.fileno(), STATE.size, row * RECORD.size + STATE_OFFSET)
        return STATE.unpack(content) if len(content) == STATE.size else (0, 0)

    def _intact(self, row: int) -> bool:
        """Whether a row holds what was written to it. Read, not mapped: a truncated file must not kill the process."""
        content = read_at(self._rows.fileno(), self.row_bytes, row * self.row_bytes)
        return len(content) == self.row_bytes and self._state(row) == (DONE, zlib.crc32(content))

    def _view(self, row: int) -> np.ndarray:
        if row >= len(self._pixels):
            rows = os.fstat(self._rows.fileno()).st_size // self.row_bytes
            mapped = mmap.mmap(self._rows.fileno(), rows * self.row_bytes, access=mmap.ACCESS_READ)
            self._pixels = np.frombuffer(mapped, np.uint8).reshape(rows, self.size, self.size, 3)
        return self._pixels[row]

    def _add(self, path: str, digest: bytes) -> int:
        """Decode an image into its row, and return the row."""
        pixels = load_square(path, self.size, self.draft)
        row = self._row_for(digest)
        self._write(row, pixels)
        self._checked.add(row)
        return row

    def _row_for(self, digest: bytes) -> int:
        """The row of a digest, a new one if it has none."""
        with locked(self.folder / "lock"):
            self._read_new_records()
            if digest in self._rows_of_digest:
                return self._rows_of_digest[digest]
            row = len(self)
            self._reserve(row + 1)
            with self._disk_errors():
                write_at(self._index.fileno(), RECORD.pack(digest, 0, 0), row * RECORD.size)
            self._read_new_records()
            return row

    def _reserve(self, rows: int) -> None:
        """Make rows.bin long enough, with real blocks: a full disk must show up here, not when a mapped page is read.

        Many rows at once keep the file in one piece; where there is no room for that, only the rows asked for.
        """
        needed = rows * self.row_bytes
        if os.fstat(self._rows.fileno()).st_size >= needed:
            return
        chunk = max(1, CHUNK_BYTES // self.row_bytes) * self.row_bytes
        with self._disk_errors():
            try:
                reserve(self._rows.fileno(), -(-needed // chunk) * chunk)
            except OSError as error:
                if error.errno not in NO_ROOM:
                    raise
                reserve(self._rows.fileno(), needed)

    def _write(self, row: int, pixels: np.ndarray) -> None:
        content = pixels.tobytes()
        with self._disk_errors():
            write_at(self._rows.fileno(), content, row * self.row_bytes)
            write_at(self._index.fileno(), STATE.pack(DONE, zlib.crc32(content)), row * RECORD.size + STATE_OFFSET)

    def _check_room(self, images: int) -> None:
        reserved = os.fstat(self._rows.fileno()).st_size - len(self) * self.row_bytes
        needed = self.bytes_needed(images) - max(0, reserved)
        free = shutil.disk_usage(self.folder).free
        if needed > free:
            raise UsageError(
                f"{images} decoded images of {self.size} x {self.size} pixels need {needed / 2**30:.2f} GiB more, "
                f"found {free / 2**30:.2f} GiB free in {self.folder}. Set data.image_store to a folder on a larger "
                "disk, or lower "
                "preprocessor.max_image_size"
            )

    @contextlib.contextmanager
    def _disk_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno not in NO_ROOM:
                raise
            raise UsageError(
                f"no space left for decoded images in {self.folder}: {error}. Set data.image_store to a larger disk"
            ) from error


def _digest(path: str) -> bytes:
    """What identifies an image: its absolute path, modification time and length."""
    try:
        status = os.stat(path)
    except FileNotFoundError as error:
        raise BadImage(path, "no such file") from error
    except OSError as error:
        raise BadImage(path, error.strerror or str(error)) from error
    when = f"{status.st_mtime_ns}\0{status.st_size}\0".encode()
    identity = DECODING + b"\0" + when + os.fsencode(os.path.abspath(path))
    return hashlib.blake2b(identity, digest_size=STATE_OFFSET).digest()


def _write_atomically(path: Path, content: bytes) -> None:
    """Write a file that others can read: unlike one of `tempfile`, it has the permissions of every other file."""
    beside = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}")
    with open(beside, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(beside, path)
