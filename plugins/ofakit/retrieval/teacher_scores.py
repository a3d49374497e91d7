"""A teacher's scores of passages for questions, for distillation (`data.teacher_scores`).

    scores = teacher_scores({"q1": ["p1", "p7"]}, queries, base, load_pair_scorer("CROSS_ENCODER"))
    write_teacher_scores("teacher.jsonl", scores)

A file that ends in .tsv has a line `query<TAB>passage<TAB>score` a score; any other has JSON lines:

    {"query": "q1", "scores": {"p1": 4.5, "p7": -0.3}}

Mined negatives that a cross-encoder looked at are such a file too (`ofakit.retrieval.negatives`).
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ofakit.data.json_files import id_in, iter_jsonl, require, require_file
from ofakit.data.passage_base import PassageBase
from ofakit.data.query import Query
from ofakit.errors import UsageError, did_you_mean
from ofakit.files import write_text
from ofakit.json_text import to_json
from ofakit.progress import followed
from ofakit.retrieval.negatives import scores_in
from ofakit.retrieval.pair_scorers import PairScorer

__all__ = ["read_teacher_scores", "teacher_scores", "write_teacher_scores"]

Scores = Mapping[str, Mapping[str, float]]

logger = logging.getLogger(__name__)


def teacher_scores(
    lists: Mapping[str, Sequence[str]],
    queries: Iterable[Query],
    base: PassageBase,
    scorer: PairScorer,
    pairs_at_once: int = 4096,
) -> dict[str, dict[str, float]]:
    """Let a model score passages for questions.

    Args:
        lists: The passages that are scored, by question.
        queries: The questions; those without a list are passed over.
        base: The passages.
        scorer: The teacher.
        pairs_at_once: How many pairs the teacher is given at a time.

    Returns:
        Scores by question and passage; a pair that the teacher cannot score is left out, and counted in one warning.

    Raises:
        UsageError: There is no such question or passage.
    """
    known = {query.id: query for query in queries}
    for name in lists:
        if name not in known:
            raise UsageError(f"no question {name!r} to score passages for: {did_you_mean(name, list(known)[:20])}")
    pairs = [(known[name], base[base.position(passage)]) for name, own in lists.items() for passage in own]
    found: dict[str, dict[str, float]] = {name: {} for name in lists}
    left_out = 0
    for start in followed(range(0, len(pairs), pairs_at_once), "teacher", "batches"):
        some = pairs[start : start + pairs_at_once]
        for (query, passage), score in zip(some, scorer(some).tolist(), strict=True):
            if math.isnan(score):
                left_out += 1
            else:
                found[query.id][passage.id] = score
    if left_out:
        logger.warning(
            f"{left_out} of {len(pairs)} pairs lack the text or image that the teacher reads; they are left out"
        )
    return found


def write_teacher_scores(path: str | Path, scores: Scores) -> None:
    """Write scores, whole or not at all.

    Args:
        path: The file; .tsv for tab-separated lines, else JSON lines.
        scores: By question and passage.

    Raises:
        UsageError: An id has a tab or a line break in it, which tab-separated lines cannot hold.
        SaveError: The disk is full or permission is missing.
    """
    path = Path(path)
    if path.suffix == ".tsv":
        rows = [(query, passage, repr(float(score))) for query, own in scores.items() for passage, score in own.items()]
        for row in rows:
            if any(len(cell.splitlines()) != 1 or "\t" in cell for cell in row):
                raise UsageError(f"{path}: expected ids without tabs and line breaks, found {row[:2]}; write .jsonl")
        lines: Iterable[str] = map("\t".join, rows)
    else:
        lines = (to_json({"query": query, "scores": dict(own)}) for query, own in scores.items())
    write_text(path, "".join(f"{line}\n" for line in lines))


def read_teacher_scores(path: str | Path) -> dict[str, dict[str, float]]:
    """Read scores.

    Args:
        path: The file; .tsv for tab-separated lines, else JSON lines with `query` and `scores`.

    Returns:
        Scores by question and passage.

    Raises:
        UsageError: The file is missing, a line is not what was expected, or a passage of a question is scored twice;
            the message names the line.
    """
    path = Path(path)
    rows = _rows_of_tsv(path) if path.suffix == ".tsv" else _rows_of_json(path)
    found: dict[str, dict[str, float]] = {}
    lines: dict[tuple[str, str], int] = {}
    for number, query, scores in rows:
        own = found.setdefault(query, {})
        for passage, score in scores.items():
            first = lines.setdefault((query, passage), number)
            if passage in own:
                raise UsageError(f"{path}: lines {first} and {number} score passage {passage!r} for {query!r}")
            own[passage] = score
    return found


def _rows_of_json(path: Path) -> Iterator[tuple[int, str, dict[str, float]]]:
    for number, row in iter_jsonl(path, "a teacher's scores"):
        where = f"{path}, line {number}"
        query = id_in(require(row, "query", where), where)
        if query is None:
            raise UsageError(f"expected a question's id in {where}, column 'query', found null")
        yield number, query, scores_in(require(row, "scores", where), f"{where}, column 'scores'")


def _rows_of_tsv(path: Path) -> Iterator[tuple[int, str, dict[str, float]]]:
    with require_file(path, "a teacher's scores").open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, start=1):
            cells: list[Any] = line.rstrip("\r\n").split("\t")
            if not line.strip() or (number == 1 and cells == ["query", "passage", "score"]):
                continue
            where = f"{path}, line {number}"
            if len(cells) != 3:
                raise UsageError(f"expected query, passage and score separated by tabs in {where}, found {line[:60]!r}")
            yield number, cells[0], scores_in({cells[1]: _number(cells[2])}, where)


def _number(text: str) -> Any:
    """The number that a text is, or the text, which `scores_in` refuses."""
    try:
        return float(text)
    except ValueError:
        return text
