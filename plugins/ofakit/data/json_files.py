"""Read JSON and JSON lines with errors that name the file, the line and the cure."""

from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import Iterable, Iterator, Mapping
from numbers import Real
from pathlib import Path
from typing import Any

from ofakit.errors import UsageError, did_you_mean
from ofakit.json_text import from_json

__all__ = [
    "captions_in",
    "id_in",
    "iter_jsonl",
    "jsonl_rows",
    "read_json",
    "read_jsonl",
    "read_rows",
    "require",
    "require_file",
    "require_text",
    "style_in",
    "text_in",
]


def require_file(path: Path, what: str) -> Path:
    """Return `path` if there is a file.

    Args:
        path: Where it should be.
        what: What it should be, such as "captions of split 'train'".

    Raises:
        UsageError: There is none; the message says what the folder holds and how to cure it.
    """
    if os.path.isfile(path):
        return path
    if os.path.lexists(path):
        kind = "a folder" if os.path.isdir(path) else "a pipe, a device or a broken link"
        raise UsageError(f"expected {what} in {path}, found {kind}")
    folder = path.parent
    while not os.path.isdir(folder) and folder != folder.parent:
        folder = folder.parent
    names = sorted(entry.name for entry in folder.iterdir())
    shown = ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "") if names else "nothing"
    raise UsageError(
        f"expected {what} in {path!s:.300}; there is no such file. {folder} contains {shown}. "
        "Set data.root to the folder of the data set, or name the file of the split in the reader's configuration"
    )


def read_json(path: Path, what: str) -> Any:
    """Read a UTF-8 JSON file.

    Args:
        path: The file.
        what: What it should hold, for the message.

    Raises:
        UsageError: It is missing or not JSON.
    """
    require_file(path, what)
    try:
        return from_json(path.read_bytes())
    except ValueError as error:
        raise UsageError(f"expected {what} as UTF-8 JSON in {path}, found: {error}") from error


def read_jsonl(path: Path, what: str) -> list[dict[str, Any]]:
    """Read a UTF-8 file of one JSON object per line; empty lines are skipped.

    Args:
        path: The file.
        what: What it should hold, for the message.

    Raises:
        UsageError: It is missing, or a line is not a JSON object; the message names the line.
    """
    return jsonl_rows(require_file(path, what).read_bytes(), what, path)


def read_rows(path: Path, what: str) -> list[dict[str, Any]]:
    """Read a UTF-8 file of JSON objects: one per line, or all in one list.

    Args:
        path: The file.
        what: What it should hold, for the message.

    Raises:
        UsageError: It is missing, or holds something else; the message names the line or the row.
    """
    content = require_file(path, what).read_bytes()
    if not content.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"["):
        return jsonl_rows(content, what, path)
    rows: list[dict[str, Any]] = read_json(path, what)
    for number, row in enumerate(rows, start=1):
        if not isinstance(row, dict):
            raise UsageError(f"expected JSON objects in the list in {path}, but row {number} is {row!r:.60}")
    return rows


def iter_jsonl(path: Path, what: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Read a UTF-8 file of one JSON object per line, one after the other; empty lines are skipped.

    Args:
        path: The file; one that ends with .gz is read as it is unpacked.
        what: What it should hold, for the message.

    Yields:
        The number of a line, from 1, and its object.

    Raises:
        UsageError: It is missing, broken or not UTF-8, or a line is not a JSON object; the message names the line.
    """
    require_file(path, what)
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as lines:
        try:
            for number, line in enumerate(lines, start=1):
                for row in jsonl_rows(line, what, path, number):
                    yield number, row
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise UsageError(f"expected {what} in {path}, found a broken archive: {error}") from error


def jsonl_rows(content: bytes, what: str, where: str | Path, first: int = 1) -> list[dict[str, Any]]:
    """The rows of a UTF-8 text with one JSON object per line; empty lines and a byte order mark are skipped.

    Args:
        content: The text.
        what: What it should hold, for the message.
        where: Its file, for the message.
        first: The number of its first line, for the message.

    Raises:
        UsageError: It is not UTF-8, or a line is not a JSON object; the message names the line.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"expected {what} as UTF-8 text in {where}, found: {error}. Save it as UTF-8") from error
    rows = []
    for number, line in enumerate(text.split("\n"), start=first):
        if not line.strip():
            continue
        try:
            row = from_json(line)
        except ValueError as error:
            raise UsageError(f"expected one JSON object per line in {where}; line {number}: {error}") from error
        if not isinstance(row, dict):
            raise UsageError(f"expected one JSON object per line in {where}; line {number} is {line[:60]!r}")
        rows.append(row)
    return rows


def require(row: Mapping[str, Any], column: str, where: str) -> Any:
    """The value of a required column.

    Args:
        row: A row of a file.
        column: The column.
        where: The file, for the message.

    Raises:
        UsageError: The row does not have it; the message names the nearest.
    """
    if not isinstance(row, Mapping):
        raise UsageError(f"expected JSON objects in {where}, found {str(row)[:60]!r}")
    if column not in row:
        raise UsageError(f"expected the column {column!r} in {where}: {did_you_mean(column, row)}")
    return row[column]


def require_text(row: Mapping[str, Any], column: str, what: str, where: str) -> str:
    """The text of a required column.

    Args:
        row: A row of a file.
        column: The column.
        what: What it should be, such as "a file name".
        where: The file, for the message.

    Raises:
        UsageError: The row does not have it, or it is not text.
    """
    place = f"{where}, column {column!r}"
    text = text_in(require(row, column, where), what, place)
    if text is None:
        raise UsageError(f"expected {what} as text in {place}, found null")
    return text


def text_in(value: Any, what: str, where: str) -> str | None:
    """The text in a cell that may be null.

    Args:
        value: The cell.
        what: What it should be, such as "a file name".
        where: The file and column, for the message.

    Raises:
        UsageError: The cell holds something else.
    """
    if value is not None and not isinstance(value, str):
        raise UsageError(f"expected {what} as text in {where}, found {value!r:.60}")
    return value


def style_in(value: Any, where: str) -> str | None:
    """The style in a cell; null and blank text mean no style.

    Args:
        value: The cell.
        where: The file and column, for the message.

    Raises:
        UsageError: The cell holds something else, such as a number.
    """
    style = text_in(value, "a style", where)
    return style if style and style.strip() else None


def id_in(value: Any, where: str) -> str | None:
    """The id in a cell, which may be text, a number or null.

    Args:
        value: The cell.
        where: The file and column, for the message.

    Raises:
        UsageError: The cell holds something else.
    """
    is_number = isinstance(value, Real) and not isinstance(value, bool)
    return str(value) if is_number else text_in(value, "an id", where)


def captions_in(value: Any, where: str) -> tuple[str, ...]:
    """The captions in a cell, which may hold one or a list of them. None counts as an empty caption.

    Args:
        value: The cell.
        where: The file and column, for the message.

    Raises:
        UsageError: The cell holds something else.

    >>> captions_in(["a dog", None], "train.jsonl")
    ('a dog', '')
    """
    cells: Iterable[Any] = value if isinstance(value, list | tuple) else [value]
    captions = []
    for cell in cells:
        if cell is not None and not isinstance(cell, str):
            raise UsageError(f"expected captions as text in {where}, found {str(cell)[:60]!r}")
        captions.append(cell or "")
    return tuple(captions)
