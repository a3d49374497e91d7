"""Read JSON and JSON lines with errors that name the file, the line and the cure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ofakit.errors import UsageError, did_you_mean

__all__ = ["captions_in", "jsonl_rows", "read_json", "read_jsonl", "require", "require_file"]


def require_file(path: Path, what: str) -> Path:
    """Give `path` back if a file is there.

    Args:
        path: Where it should be.
        what: What it should be, such as "captions of split 'train'".

    Raises:
        UsageError: It is not there; the message says what the folder holds and how to cure it.
    """
    if path.is_file():
        return path
    folder = path.parent
    while not folder.is_dir() and folder != folder.parent:
        folder = folder.parent
    names = sorted(entry.name for entry in folder.iterdir())
    shown = ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "") if names else "nothing"
    raise UsageError(
        f"expected {what} in {path}; there is no such file. {folder} holds {shown}. "
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
    try:
        return json.loads(require_file(path, what).read_text(encoding="utf-8-sig"))
    except ValueError as error:
        raise UsageError(f"expected {what} as UTF-8 JSON in {path}, found: {error}") from error


def read_jsonl(path: Path, what: str) -> list[dict[str, Any]]:
    """Read a UTF-8 file of one JSON object a line; empty lines are passed over.

    Args:
        path: The file.
        what: What it should hold, for the message.

    Raises:
        UsageError: It is missing, or a line is no JSON object; the message names the line.
    """
    return jsonl_rows(require_file(path, what).read_bytes(), what, path)


def jsonl_rows(content: bytes, what: str, where: str | Path) -> list[dict[str, Any]]:
    """The rows of a UTF-8 text of one JSON object a line, a byte order mark allowed; empty lines are passed over.

    Args:
        content: The text.
        what: What it should hold, for the message.
        where: Its file, for the message.

    Raises:
        UsageError: It is not UTF-8, or a line is no JSON object; the message names the line.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"expected {what} as UTF-8 text in {where}, found: {error}. Save it as UTF-8") from error
    rows = []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise UsageError(f"expected one JSON object a line in {where}, found on line {number}: {error}") from error
        if not isinstance(row, dict):
            raise UsageError(f"expected one JSON object a line in {where}, found on line {number}: {line[:60]!r}")
        rows.append(row)
    return rows


def require(row: Mapping[str, Any], column: str, where: str) -> Any:
    """The value of a column that must be there.

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


def captions_in(value: Any, where: str) -> tuple[str, ...]:
    """The captions in a cell, which may hold one or a list. None counts as an empty caption.

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
