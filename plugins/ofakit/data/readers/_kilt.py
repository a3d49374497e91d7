"""Answers and provenance in rows of questions, as in KILT and ViQuAE.

    KILT     "output": [{"answer": "…", "provenance": [{"title": "…"}]}, …]
    ViQuAE   "output": {"original_answer": "…", "answer": ["…"], "provenance": [{"title": ["…"]}]}

Source: Petroni et al., KILT, NAACL 2021; Lerner et al., ViQuAE, SIGIR 2022.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ofakit.data.readers._relevant import texts_in

__all__ = ["answers_in", "provenance_in"]


def answers_in(row: Mapping[str, Any], where: str) -> tuple[str, ...]:
    """The answers to a question, the original one first, each once.

    Args:
        row: A row of questions.
        where: The file, for the message.

    Raises:
        UsageError: An answer is not a text.

    >>> answers_in({"output": {"original_answer": "b", "answer": ["a", "b"]}}, "test.jsonl")
    ('b', 'a')
    """
    answers: list[str] = []
    for output in _outputs(row):
        answers += texts_in(output.get("original_answer"), "an answer", where)
        answers += texts_in(output.get("answer"), "answers", where)
    return tuple(dict.fromkeys(answers))


def provenance_in(row: Mapping[str, Any]) -> list[str]:
    """Titles of the articles that a question was made from, each once.

    Args:
        row: A row of questions.

    >>> provenance_in({"output": [{"provenance": [{"title": "A"}, {"title": ["B", "b"]}, {"title": "A"}]}]})
    ['A', 'B']
    """
    titles: list[str] = []
    for output in _outputs(row):
        for source in output.get("provenance") or ():
            title = source.get("title") if isinstance(source, Mapping) else None
            titles += [title] if isinstance(title, str) else list(title or ())[:1]
    return list(dict.fromkeys(titles))


def _outputs(row: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    outputs = row.get("output") or []
    return [output for output in (outputs if isinstance(outputs, list) else [outputs]) if isinstance(output, Mapping)]
