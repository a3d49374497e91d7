"""Images that a data set keeps inside its files, as OFA's TSV, Parquet and tar archives do, as files of their own.

Everything that reads images finds a file faster than a place in an archive, and the image store knows files by their
name. They are written once, each under the digest of its content, so that an image that many rows or splits repeat is
one file:

    <folder>/images/ab/abcdef….jpg                   the images
    <folder>/<name of the packed file>-<digest>.jsonl   its rows, written when all images are there
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from filelock import FileLock

from ofakit.data.readers._generated import digest_of
from ofakit.files import replace_file, saving
from ofakit.json_text import from_json, to_json

__all__ = ["FOLDER", "from_base64", "unpacked_rows"]

FOLDER = "work_dir/unpacked"
"""Where images go unless a configuration says otherwise, relative to the working directory."""

BEGINNINGS = {b"\xff\xd8\xff": ".jpg", b"\x89PNG": ".png", b"RIFF": ".webp", b"GIF8": ".gif", b"BM": ".bmp"}


def unpacked_rows(
    files: Sequence[Path],
    folder: str | Path,
    rows: Callable[[], Iterable[tuple[Mapping[str, Any], bytes | None]]],
    settings: Mapping[str, Any] | None = None,
    column: str = "image",
) -> list[dict[str, Any]]:
    """The rows of packed files, their images as files.

    Args:
        files: What is unpacked; another name, length or time of one of them unpacks again.
        folder: Where the images are written.
        rows: Gives each row, fit for JSON, and the bytes of its image; None leaves the row as it is.
        settings: What else the rows depend on, fit for JSON.
        column: The column of the image.

    Returns:
        The rows in order; the column of an image that was written out holds its path.

    Raises:
        SaveError: There is no room or no permission for the images.
    """
    status = [path.stat() for path in files]
    about: dict[str, Any] = {"settings": settings, "column": column}
    about["files"] = [[p.name, stat.st_size, stat.st_mtime_ns] for p, stat in zip(files, status, strict=True)]
    folder = Path(folder).expanduser().absolute()
    unpacked = folder / f"{files[0].name}-{digest_of(about)}.jsonl"
    with saving(unpacked):
        folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / f".{unpacked.name}.lock"):  # of several processes the first unpacks
        if not unpacked.is_file():
            _unpack(unpacked, folder / "images", rows(), column)
    return [
        {**row, column: str(folder / "images" / row[column])} if inside else row
        for row, inside in map(from_json, unpacked.read_text(encoding="utf-8").split("\n")[:-1])
    ]


def from_base64(text: str) -> bytes:
    """The bytes of an image in base64, with either alphabet; the text itself where it is none, for a bad image.

    Args:
        text: The cell.

    >>> from_base64("_9j_"), from_base64("/9j/"), from_base64("a.jpg")
    (b'\\xff\\xd8\\xff', b'\\xff\\xd8\\xff', b'a.jpg')
    """
    try:
        return base64.b64decode(text.strip().replace("-", "+").replace("_", "/"), validate=True)
    except (binascii.Error, ValueError):
        return text.encode()


def _unpack(unpacked: Path, images: Path, rows: Iterable[tuple[Mapping[str, Any], bytes | None]], column: str) -> None:
    with replace_file(unpacked) as beside, beside.open("w", encoding="utf-8", newline="\n") as lines:
        for row, image in rows:
            own = {column: None, **row} if image is None else {**row, column: _write(images, image)}
            lines.write(to_json([own, image is not None]) + "\n")


def _write(folder: Path, image: bytes) -> str:
    """Write an image unless it is there, whole or not at all.

    Returns:
        Its name in the folder: two letters of its digest, then the digest and what its format is usually called.
    """
    digest = hashlib.blake2b(image, digest_size=16).hexdigest()
    kind = next((suffix for beginning, suffix in BEGINNINGS.items() if image.startswith(beginning)), ".image")
    name = f"{digest[:2]}/{digest}{kind}"
    final = folder / name
    if not final.exists():
        with saving(final):
            final.parent.mkdir(parents=True, exist_ok=True)
            beside = final.with_name(f".{final.name}.{os.getpid()}")
            beside.write_bytes(image)
            os.replace(beside, final)
    return name
