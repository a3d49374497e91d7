"""Mined negatives come back from their file as they were, and a damaged file is refused by its line."""

from __future__ import annotations

import json

import pytest
from ofakit.errors import UsageError
from ofakit.retrieval.negatives import MinedQuestion, ids_of, read_mined, read_negatives

QUESTIONS = [
    MinedQuestion("q1", ("p1",), ("p2", "p3"), {"p1": 2.5, "p2": -1.0}),
    MinedQuestion("q2", ("p1", "p4"), ()),
]


def written(folder, *rows):
    path = folder / "negatives.jsonl"
    path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows))
    return path


def test_what_is_written_is_read(tmp_path):
    path = written(tmp_path, *(question.row() for question in QUESTIONS))
    assert read_mined(path) == QUESTIONS
    assert read_negatives(path) == {"q1": ("p2", "p3"), "q2": ()}
    assert ids_of(QUESTIONS) == {"q1": ("p1", "p2", "p3"), "q2": ("p1", "p4")}


def test_a_file_by_hand_needs_only_negatives_and_may_have_numbers_as_ids(tmp_path):
    assert read_negatives(written(tmp_path, {"query": 7, "negatives": [1, "2"]})) == {"7": ("1", "2")}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"negatives": []}, "column 'query'"),
        ({"query": None, "negatives": []}, "a question's id in .*line 2.*null"),
        ({"query": "q2", "negatives": "p1"}, "list of passage ids in .*line 2, column 'negatives', found 'p1'"),
        ({"query": "q2", "negatives": ["p1", None]}, "ids of different passages"),
        ({"query": "q2", "negatives": ["p1", "p1"]}, "ids of different passages"),
        ({"query": "q2", "positives": ["p1"], "negatives": ["p1"]}, "'p1' is both a positive and a negative"),
        ({"query": "q2", "negatives": [], "scores": [1]}, "scores by passage id"),
        ({"query": "q2", "negatives": [], "scores": {"p": "1"}}, "a finite score of 'p'"),
        ('{"query": "q2", "scores": {"p": NaN}}', "a finite score of 'p'"),
        ({"query": "q1", "negatives": []}, "lines 1 and 2 both belong to the question 'q1'"),
        ("[]", "one JSON object per line"),
    ],
)
def test_a_damaged_line_is_refused(tmp_path, row, message):
    with pytest.raises(UsageError, match=message):
        read_mined(written(tmp_path, QUESTIONS[0].row(), row))


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UsageError, match="expected mined negatives in .*none.jsonl"):
        read_negatives(tmp_path / "none.jsonl")
