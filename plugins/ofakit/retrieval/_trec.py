"""Lines of TREC's runs: columns between white space, one row per line."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple, NoReturn

import numpy as np

from ofakit.errors import UsageError

__all__ = ["Rows", "check_ids", "finite_numbers", "read_rows", "refuse_repeated"]


class Rows(NamedTuple):
    """The rows of a file.

    Attributes:
        path: The file.
        lines: The line number of each row, from 1.
        columns: The texts of each column.
    """

    path: Path
    lines: Sequence[int]
    columns: list[Sequence[str]]


def read_rows(path: str | Path, columns: str) -> Rows:
    """Read a file whose rows all have the same columns; blank lines are passed over.

    Args:
        path: The file, in UTF-8.
        columns: Their names, separated by spaces.

    Raises:
        UsageError: The file cannot be read, or a row has another number of columns; the message names the line.
    """
    path, expected = Path(path), columns.split()
    try:
        text = path.read_text(encoding="utf-8-sig", errors="surrogateescape")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: expected lines of `{columns}` in UTF-8, found: {error}") from error
    fields, width = text.split(), len(expected)
    if text.split("\n") == [*map(" ".join, zip(*[iter(fields)] * width, strict=False)), ""]:
        return Rows(path, range(1, len(fields) // width + 1), [fields[column::width] for column in range(width)])
    return _read_line_by_line(path, text, expected)


def _read_line_by_line(path: Path, text: str, expected: list[str]) -> Rows:
    """Rows with whatever white space; slower than `read_rows` takes files with one space between their columns."""
    split = list(map(str.split, text.split("\n")))
    lines = [number for number, row in enumerate(split, start=1) if row]
    rows = [row for row in split if row]
    for number, row in zip(lines, rows, strict=True):
        if len(row) != len(expected):
            raise UsageError(
                f"{path}: line {number}: expected {len(expected)} columns, `{' '.join(expected)}`, found {len(row)}: "
                f"{' '.join(row)[:80]!r}"
            )
    return Rows(path, lines, [[row[column] for row in rows] for column in range(len(expected))])


def finite_numbers(rows: Rows, column: int, noun: str) -> np.ndarray:
    """The numbers of a column.

    Args:
        rows: The file's rows.
        column: Which, from 0; the first and third columns are queries and passages.
        noun: What such a number is, for the message.

    Returns:
        Float64, shape (rows,).

    Raises:
        UsageError: One is not a number, or not finite; the message names line, query and passage.
    """
    texts = rows.columns[column]
    try:
        values = np.array(list(map(float, texts)), dtype=np.float64)
    except ValueError:
        values = np.array([_number(text) for text in texts], dtype=np.float64)
    bad = np.flatnonzero(~np.isfinite(values))
    if len(bad):
        row = int(bad[0])
        raise UsageError(
            f"{rows.path}: line {rows.lines[row]}: query {rows.columns[0][row]!r}, passage {rows.columns[2][row]!r}: "
            f"expected a finite number as {noun}, found {texts[row]!r}"
        )
    return values


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")


def refuse_repeated(rows: Rows) -> NoReturn:
    """Say where a passage of a query stands for the second time.

    Args:
        rows: Those of a file in which there is such a passage.

    Raises:
        UsageError: Always.
    """
    first: dict[tuple[str, str], int] = {}
    for line, pair in zip(rows.lines, zip(rows.columns[0], rows.columns[2], strict=True), strict=True):
        if first.setdefault(pair, line) != line:
            query, passage = pair
            raise UsageError(
                f"{rows.path}: lines {first[pair]} and {line}: query {query!r} has passage {passage!r} twice; keep one"
            )
    raise UsageError(f"{rows.path}: a query has a passage twice")


def check_ids(path: str | Path, *ids: Iterable[str]) -> None:
    """Refuse ids that a file with white space between its columns cannot hold.

    Args:
        path: The file that is to be written.
        *ids: The ids.

    Raises:
        UsageError: One is empty or has white space in it.
    """
    for some in ids:
        bad: Sequence[str] = [name for name in some if len(name.split()) != 1 or name != name.strip()]
        if bad:
            raise UsageError(f"{path}: expected ids without white space, as TREC's files need them, found {bad[0]!r}")
