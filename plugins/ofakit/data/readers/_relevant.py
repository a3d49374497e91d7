"""Shared by readers of questions: cells of relevant passages and answers, unique ids, and a warning."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from logging import Logger
from numbers import Real
from typing import Any

from ofakit.data.json_files import id_in
from ofakit.data.query import Query
from ofakit.errors import UsageError

__all__ = ["gains_in", "report_unanswerable", "texts_in", "unique_by_id"]


def gains_in(value: Any, where: str) -> dict[str, float]:
    """The gains by passage in a cell that holds an id, a list of ids, an object of gains by id, or null.

    Args:
        value: The cell.
        where: The file and question, for the message.

    Raises:
        UsageError: The cell holds something else.

    >>> gains_in(["a", 7], "test.jsonl"), gains_in({"a": 3}, "test.jsonl"), gains_in(None, "test.jsonl")
    ({'a': 1.0, '7': 1.0}, {'a': 3.0}, {})
    """
    if isinstance(value, Mapping):
        for passage, gain in value.items():
            if not isinstance(gain, Real) or isinstance(gain, bool):
                raise UsageError(f"expected the gain of passage {passage!r} as a number in {where}, found {gain!r:.60}")
        return {str(passage): float(gain) for passage, gain in value.items()}
    cells = value if isinstance(value, list | tuple) else [] if value is None else [value]
    return {passage: 1.0 for passage in (id_in(cell, where) for cell in cells) if passage is not None}


def texts_in(value: Any, what: str, where: str) -> tuple[str, ...]:
    """The texts in a cell that holds one, a list of them, or null.

    Args:
        value: The cell.
        what: What they are, such as "answers".
        where: The file, for the message.

    Raises:
        UsageError: The cell holds something else.
    """
    cells = value if isinstance(value, list | tuple) else [] if value is None else [value]
    for cell in cells:
        if not isinstance(cell, str):
            raise UsageError(f"expected {what} as text in {where}, found {cell!r:.60}")
    return tuple(cells)


def unique_by_id(placed: Iterable[tuple[str, Query]], what: str) -> list[Query]:
    """The queries, of which no two may share an id.

    Args:
        placed: Pairs of where a query stands and the query.
        what: What they are called in the message, such as "questions".

    Raises:
        UsageError: Two share an id; the message names both places.
    """
    places: dict[str, str] = {}
    queries = []
    for place, query in placed:
        first = places.setdefault(query.id, place)
        if first is not place:
            raise UsageError(f"two {what} have the id {query.id!r}: {first} and {place}")
        queries.append(query)
    return queries


def _report_empty(queries: Sequence[Query], split: str, logger: Logger) -> None:
    """Warn of questions that ask nothing."""
    empty = [query.id for query in queries if not (query.text or "").strip() and query.image is None]
    if empty:
        logger.warning(
            f"{len(empty)} of {len(queries)} questions of split {split!r} have neither text nor image, such as "
            f"{', '.join(map(repr, empty[:3]))}; they find nothing and score 0"
        )


def report_unanswerable(queries: Sequence[Query], split: str, logger: Logger) -> None:
    """Warn of empty questions, and of those without a relevant passage, unless nothing is known of any question.

    Args:
        queries: The questions of a split.
        split: Its name.
        logger: Gets the warning.
    """
    _report_empty(queries, split, logger)
    lacking = [query.id for query in queries if not query.relevant_ids]
    if lacking and any(query.relevant for query in queries):
        logger.warning(
            f"{len(lacking)} of {len(queries)} questions of split {split!r} have no relevant passage, such as "
            f"{', '.join(map(repr, lacking[:3]))}; they are kept and score 0"
        )
