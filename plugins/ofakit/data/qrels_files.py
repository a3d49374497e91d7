"""Relevance judgements in files: TREC's qrels, or BEIR's tab-separated ones.

q1 0 DZ-04 1                  query, an unused number, passage, gain
query-id<TAB>corpus-id<TAB>score    BEIR, with a header

A file forgets a query of which no passage was judged, and means would be over other queries. Such a query has one
line, with the passage `-` and a gain of 0. Ids that are not UTF-8 keep their bytes, as those of runs do.
"""

from __future__ import annotations

import math
from pathlib import Path

from ofakit.data.json_files import require_file
from ofakit.errors import UsageError

__all__ = ["NOTHING_JUDGED", "read_qrels"]

NOTHING_JUDGED = "-"
"""The passage of a query without any judged passage, with a gain of 0."""


def read_qrels(path: Path, what: str = "judgements") -> dict[str, dict[str, float]]:
    """Read a file of judgements.

    Args:
        path: Four columns divided by white space, as TREC has them, or three divided by tabs, with or without a header.
        what: What it should hold, for the message.

    Returns:
        The gain of each judged passage, by query; a gain of 0 or less is judged irrelevant. Both in the order of the
        file.

    Raises:
        UsageError: The file is missing, a line is none of both, or a query has a passage twice; the message names the
            lines.
    """
    found: dict[str, dict[str, float]] = {}
    lines = _text(path, what).split("\n")
    for number, line in enumerate(lines, start=1):
        cells = _cells(line)
        if not cells or (number == 1 and _is_header(cells)):
            continue
        query, passage, gain = _judgement(cells, f"{path}, line {number}")
        known = found.setdefault(query, {})
        if passage in known:
            first = next(n for n, earlier in enumerate(lines, start=1) if _names(_cells(earlier)) == (query, passage))
            both = f"{path}: lines {first} and {number}"
            raise UsageError(f"{both}: query {query!r} has passage {passage!r} twice; keep one")
        known[passage] = gain
    return {query: {} if known == {NOTHING_JUDGED: 0.0} else known for query, known in found.items()}


def _text(path: Path, what: str) -> str:
    try:
        return require_file(path, what).read_text(encoding="utf-8-sig", errors="surrogateescape")
    except OSError as error:
        raise UsageError(f"cannot read {what} in {path}: {error}") from error


def _cells(line: str) -> list[str]:
    """The columns of a line; ids may have spaces in them where tabs divide three."""
    if line.count("\t") == 2:
        cells = [cell.strip() for cell in line.split("\t")]
        if all(cells) and _number(cells[2]) is not None:
            return cells
    return line.split()


def _is_header(cells: list[str]) -> bool:
    return len(cells) == 3 and _number(cells[2]) is None


def _names(cells: list[str]) -> tuple[str, str]:
    """Query and passage."""
    return ("", "") if len(cells) < 3 else (cells[0], cells[-2])


def _judgement(cells: list[str], where: str) -> tuple[str, str, float]:
    gain = _number(cells[-1])
    if len(cells) not in (3, 4) or gain is None:
        raise UsageError(
            f"expected `query 0 passage gain`, or query, passage and gain separated by tabs, in {where}, found "
            f"{' '.join(cells)[:60]!r}"
        )
    return cells[0], cells[-2], gain


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
