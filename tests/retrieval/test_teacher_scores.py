"""A teacher's scores: made, written and read in two formats."""

from __future__ import annotations

import json

import numpy as np
import pytest
from ofakit.data.knowledge_base import KnowledgeBase
from ofakit.data.passage import Passage
from ofakit.data.query import Query
from ofakit.errors import UsageError
from ofakit.retrieval.negatives import MinedQuestion
from ofakit.retrieval.teacher_scores import read_teacher_scores, teacher_scores, write_teacher_scores

SCORES = {"q 1": {"p1": 4.5, "p 2": -0.1}, "q2": {"p1": 1e-9}}


@pytest.mark.parametrize("name", ["scores.tsv", "scores.jsonl"])
def test_what_is_written_is_read(tmp_path, name):
    write_teacher_scores(tmp_path / name, SCORES)
    assert read_teacher_scores(tmp_path / name) == SCORES


def test_lines_may_be_of_one_question_and_tables_have_a_header(tmp_path):
    (tmp_path / "a.tsv").write_text("query\tpassage\tscore\nq1\tp1\t1\n\nq1\tp2\t2e-1\n")
    assert read_teacher_scores(tmp_path / "a.tsv") == {"q1": {"p1": 1.0, "p2": 0.2}}
    rows = [{"query": "q1", "scores": {"p1": 1}}, {"query": "q1", "scores": {"p2": 2}}]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert read_teacher_scores(tmp_path / "a.jsonl") == {"q1": {"p1": 1.0, "p2": 2.0}}


def test_mined_negatives_are_a_teachers_scores_too(tmp_path):
    question = MinedQuestion("q1", ("p1",), ("p2",), {"p1": 3.0, "p2": -2.0})
    (tmp_path / "mined.jsonl").write_text(json.dumps(question.row()))
    assert read_teacher_scores(tmp_path / "mined.jsonl") == {"q1": {"p1": 3.0, "p2": -2.0}}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.tsv", "q1 p1 1.0\n", "separated by tabs in .*line 1, found 'q1 p1 1.0"),
        ("a.tsv", "q1\tp1\thigh\n", "a finite score of 'p1' in .*line 1, found 'high'"),
        ("a.tsv", "q1\tp1\tnan\n", "a finite score of 'p1' in .*line 1, found nan"),
        ("a.tsv", "q1\tp1\t1\nq1\tp1\t1\n", "lines 1 and 2 score passage 'p1' for 'q1'"),
        ("a.jsonl", '{"query": "q1"}', "column 'scores'"),
        ("a.jsonl", '{"query": null, "scores": {}}', "a question's id"),
    ],
)
def test_a_damaged_file_is_refused_by_its_line(tmp_path, name, content, message):
    (tmp_path / name).write_text(content)
    with pytest.raises(UsageError, match=message):
        read_teacher_scores(tmp_path / name)


def test_ids_that_a_table_cannot_hold_are_refused(tmp_path):
    with pytest.raises(UsageError, match="ids without tabs"):
        write_teacher_scores(tmp_path / "a.tsv", {"q\t1": {"p": 1.0}})
    assert not (tmp_path / "a.tsv").exists()


QUERIES = [Query("q1", "a"), Query("q2", "b"), Query("q3", "c")]
BASE = KnowledgeBase([Passage("p1", "a"), Passage("p2", "bb"), Passage("p3", "ccc")])


def by_length(pairs):
    """Longer passages are better; those of length 3 cannot be scored."""
    lengths = np.array([len(query.id + passage.text) for query, passage in pairs], dtype=np.float32)
    return np.where(lengths == 5, np.nan, lengths)


@pytest.mark.parametrize("pairs_at_once", [1, 2, 100])
def test_lists_are_scored_and_what_cannot_be_is_counted(pairs_at_once, caplog):
    lists = {"q2": ["p2", "p1"], "q1": ["p3", "p1"]}
    found = teacher_scores(lists, QUERIES, BASE, by_length, pairs_at_once)
    assert found == {"q2": {"p2": 4.0, "p1": 3.0}, "q1": {"p1": 3.0}}
    assert "1 of 4 pairs lack the text or image that the teacher reads" in caplog.text


def test_unknown_questions_and_passages_are_refused():
    with pytest.raises(UsageError, match="no question 'q9'.*did you mean"):
        teacher_scores({"q9": []}, QUERIES, BASE, by_length)
    with pytest.raises(UsageError, match="no passage 'p9'"):
        teacher_scores({"q1": ["p9"]}, QUERIES, BASE, by_length)
