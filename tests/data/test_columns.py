"""Columns of fields: usual names, own names, and names that no row has."""

from __future__ import annotations

import pytest
from ofakit.data.columns import Columns
from ofakit.errors import UsageError

USUAL = {"id": ("id", "_id"), "text": ("text", "question")}


def test_the_first_usual_column_is_taken_and_an_own_one_replaces_all():
    row = {"_id": 1, "question": "q", "body": None}
    assert Columns(USUAL, None, "columns").get(row, "id") == 1
    assert Columns(USUAL, {"text": "body"}, "columns").get(row, "text") is None
    assert Columns(USUAL, {"text": None}, "columns").get(row, "text") is None


def test_a_field_that_there_is_none_of():
    with pytest.raises(UsageError, match="unknown field 'txt' in 'columns': did you mean 'text'"):
        Columns(USUAL, {"txt": "a"}, "columns")


def test_a_required_cell():
    columns = Columns(USUAL, {"text": "body"}, "columns")
    with pytest.raises(UsageError, match="expected the column 'id' or '_id' in f, line 2: did you mean 'ids'"):
        columns.require({"ids": 1}, "id", "f, line 2")
    with pytest.raises(UsageError, match="column 'body', found null"):
        columns.require({"body": None}, "text", "f")
    with pytest.raises(UsageError, match="expected the column for the text in f"):
        Columns(USUAL, {"text": None}, "columns").require({"a": 1}, "text", "f")


def test_an_own_column_must_be_in_some_row():
    columns = Columns(USUAL, {"text": "body"}, "columns")
    columns.get({"id": 1}, "text")
    with pytest.raises(UsageError, match="columns names 'body'; no row of f has it"):
        columns.refuse_missing("f")
    columns.get({"body": "x"}, "text")
    columns.refuse_missing("f")
