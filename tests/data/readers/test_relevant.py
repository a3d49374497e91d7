"""Cells of relevant passages and answers, unique ids, and the warning of questions without any."""

from __future__ import annotations

import logging

import pytest
from ofakit.data.query import Query
from ofakit.data.readers._relevant import gains_in, report_unanswerable, texts_in, unique_by_id
from ofakit.errors import UsageError


def test_cells():
    assert gains_in("a", "f") == {"a": 1.0}
    assert gains_in({"a": 0, "b": 2}, "f") == {"a": 0.0, "b": 2.0}
    assert texts_in("x", "answers", "f") == ("x",)
    assert texts_in(["x", "y"], "answers", "f") == ("x", "y")
    assert texts_in(None, "answers", "f") == ()


@pytest.mark.parametrize("cell", [[["a"]], {"a": "much"}, {"a": True}])
def test_cells_of_the_wrong_type(cell):
    with pytest.raises(UsageError, match="in f"):
        gains_in(cell, "f")
    with pytest.raises(UsageError, match="expected answers as text in f"):
        texts_in([3], "answers", "f")


def test_two_of_one_id_are_refused_with_both_places():
    assert unique_by_id([("row 1", Query("a")), ("row 2", Query("b"))], "questions") == [Query("a"), Query("b")]
    with pytest.raises(UsageError, match="two questions have the id 'a': row 1 and row 3"):
        unique_by_id([("row 1", Query("a")), ("row 2", Query("b")), ("row 3", Query("a"))], "questions")


def test_the_warning_comes_only_where_something_is_known(caplog):
    logger = logging.getLogger("test")
    report_unanswerable([Query("a", "what?"), Query("b", image="b.png")], "test", logger)
    assert not caplog.records
    report_unanswerable([Query("a", "x", relevant={"p": 0}), Query("b", "y", relevant={"p": 1})], "test", logger)
    (record,) = caplog.records
    assert "1 of 2 questions of split 'test' have no relevant passage, such as 'a'" in record.getMessage()


def test_empty_questions_are_counted(caplog):
    report_unanswerable([Query("a", " "), Query("b", "what?"), Query("c")], "val", logging.getLogger("test"))
    (record,) = caplog.records
    assert "2 of 3 questions of split 'val' have neither text nor image, such as 'a', 'c'" in record.getMessage()
