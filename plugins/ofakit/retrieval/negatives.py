"""Mined negatives in a file, which a training task reads (`data.negatives`): JSON lines, one question each.

{"query": "q1", "positives": ["DZ-00"], "negatives": ["FR-02", "MA-01"], "scores": {"DZ-00": 4.5, "FR-02": 1.0}}

`scores` are those of a cross-encoder where one looked at the passages, and then they are a teacher's scores too
(`data.teacher_scores`); else they are those of the ranking that a passage comes from.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Real
from pathlib import Path
from typing import Any

from ofakit.data.json_files import id_in, iter_jsonl, require
from ofakit.errors import UsageError

__all__ = ["MinedQuestion", "read_mined", "read_negatives"]


@dataclass(frozen=True)
class MinedQuestion:
    """A question with what was mined for it.

    Attributes:
        query: The question's id.
        positives: Ids of the passages that answer it.
        negatives: Ids of passages that seem to answer it and do not, the hardest first.
        scores: By passage id, where there is one.
    """

    query: str
    positives: tuple[str, ...]
    negatives: tuple[str, ...]
    scores: Mapping[str, float] = field(default_factory=dict)

    def row(self) -> dict[str, Any]:
        """The question as one line of the file."""
        ids = {"query": self.query, "positives": list(self.positives), "negatives": list(self.negatives)}
        return {**ids, "scores": dict(self.scores)}


def read_negatives(path: str | Path) -> dict[str, tuple[str, ...]]:
    """The negatives of each question.

    Args:
        path: A file of mined negatives.

    Returns:
        Passage ids by question id, both in the order of the file.

    Raises:
        UsageError: As `read_mined`.
    """
    return {question.query: question.negatives for question in read_mined(path)}


def read_mined(path: str | Path) -> list[MinedQuestion]:
    """Everything in a file of mined negatives.

    Args:
        path: The file; one that ends in .gz is read as it is unpacked.

    Raises:
        UsageError: The file is missing, a line is not what was expected, or a question stands there twice; the message
            names the line.
    """
    lines: dict[str, int] = {}
    found = []
    for number, row in iter_jsonl(Path(path), "mined negatives"):
        where = f"{path}, line {number}"
        question = _question(row, where)
        first = lines.setdefault(question.query, number)
        if first != number:
            raise UsageError(f"{path}: lines {first} and {number} both belong to the question {question.query!r}")
        found.append(question)
    return found


def _question(row: Mapping[str, Any], where: str) -> MinedQuestion:
    query = id_in(require(row, "query", where), where)
    if query is None:
        raise UsageError(f"expected a question's id in {where}, column 'query', found null")
    positives, negatives = (_ids(row.get(key, []), f"{where}, column {key!r}") for key in ("positives", "negatives"))
    both = set(positives) & set(negatives)
    if both:
        raise UsageError(f"{where}: the passage {min(both)!r} is both a positive and a negative")
    return MinedQuestion(query, positives, negatives, scores_in(row.get("scores", {}), f"{where}, column 'scores'"))


def _ids(value: Any, where: str) -> tuple[str, ...]:
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise UsageError(f"expected a list of passage ids in {where}, found {str(value)[:60]!r}")
    ids = [id_in(one, where) for one in value]
    if None in ids or len(set(ids)) < len(ids):
        raise UsageError(f"expected ids of different passages in {where}, found {str(value)[:60]}")
    return tuple(str(one) for one in ids)


def scores_in(value: Any, where: str) -> dict[str, float]:
    """The scores by passage in a cell.

    Args:
        value: The cell.
        where: The file and line, for the message.

    Raises:
        UsageError: It is not an object, or a score is not a finite number.
    """
    if not isinstance(value, Mapping):
        raise UsageError(f"expected scores by passage id in {where}, found {str(value)[:60]!r}")
    for passage, score in value.items():
        if not isinstance(score, Real) or isinstance(score, bool) or not math.isfinite(score):
            raise UsageError(f"expected a finite score of {passage!r} in {where}, found {score!r:.40}")
    return {str(passage): float(score) for passage, score in value.items()}


def ids_of(questions: Iterable[MinedQuestion]) -> dict[str, tuple[str, ...]]:
    """All passages of each question, positives first.

    Args:
        questions: What was mined.
    """
    return {question.query: (*question.positives, *question.negatives) for question in questions}
