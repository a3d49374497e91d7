"""Relevance judgements in files: TREC's qrels, or BEIR's tab-separated ones.

q1 0 DZ-04 1                  query, an unused number, passage, gain
query-id<TAB>corpus-id<TAB>score    BEIR, with a header
"""

from __future__ import annotations

import math
from pathlib import Path

from ofakit.data.json_files import require_file
from ofakit.errors import UsageError

__all__ = ["read_qrels"]


def read_qrels(path: Path, what: str = "judgements") -> dict[str, dict[str, float]]:
    """Read a file of judgements.

    Args:
        path: Four columns divided by white space, as TREC has them, or three divided by tabs, with or without a header.
        what: What it should hold, for the message.

    Returns:
        The gain of each judged passage, by query; a gain of 0 or less is judged irrelevant. Both in the order of the
        file.

    Raises:
        UsageError: The file is missing or not UTF-8, a line is none of both, or a passage is judged twice with
            different gains; the message names the line.
    """
    found: dict[str, dict[str, float]] = {}
    lines: dict[tuple[str, str], int] = {}
    for number, line in enumerate(_text(path, what).split("\n"), start=1):
        cells = line.split("\t") if line.count("\t") == 2 else line.split()
        if not cells or (number == 1 and _is_header(cells)):
            continue
        query, passage, gain = _judgement([cell.strip() for cell in cells], f"{path}, line {number}")
        if found.setdefault(query, {}).setdefault(passage, gain) != gain:
            raise UsageError(
                f"{path}: lines {lines[query, passage]} and {number} judge passage {passage!r} for query "
                f"{query!r} with different gains, {found[query][passage]:g} and {gain:g}"
            )
        lines.setdefault((query, passage), number)
    return found


def _text(path: Path, what: str) -> str:
    try:
        return require_file(path, what).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"expected {what} as UTF-8 text in {path}, found: {error}. Save it as UTF-8") from error


def _is_header(cells: list[str]) -> bool:
    return len(cells) == 3 and _number(cells[2]) is None


def _judgement(cells: list[str], where: str) -> tuple[str, str, float]:
    gain = _number(cells[-1])
    if len(cells) not in (3, 4) or gain is None:
        raise UsageError(
            f"expected `query 0 passage gain`, or query, passage and gain with tabs between, in {where}, found "
            f"{' '.join(cells)[:60]!r}"
        )
    return cells[0], cells[-2], gain


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
