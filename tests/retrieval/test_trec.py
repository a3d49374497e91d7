"""Lines of TREC files: read whatever white space they have, and named when they are wrong."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ofakit.errors import UsageError
from ofakit.retrieval._trec import Rows, check_ids, finite_numbers, read_rows, refuse_repeated

COLUMNS = "query 0 passage gain"


def written(tmp_path, text, encoding="utf-8"):
    path = tmp_path / "rows.trec"
    path.write_text(text, encoding=encoding, newline="")
    return path


def test_the_usual_file_and_one_with_odd_white_space_are_the_same(tmp_path):
    usual = read_rows(written(tmp_path, "q1 0 a 1\nq1 0 b 0\n"), COLUMNS)
    odd = read_rows(written(tmp_path, "\n q1\t0  a 1 \r\n\n\nq1 0 b\t\t0", "utf-8-sig"), COLUMNS)
    assert usual.columns == odd.columns == [["q1", "q1"], ["0", "0"], ["a", "b"], ["1", "0"]]
    assert (list(usual.lines), list(odd.lines)) == ([1, 2], [2, 5])


cells = st.text(st.characters(codec="utf-8", exclude_categories=["Z", "C"]), min_size=1, max_size=3)


@settings(deadline=None, max_examples=40)
@given(rows=st.lists(st.tuples(cells, cells, cells, cells), max_size=4))
def test_one_space_or_more_between_columns_read_the_same(tmp_path_factory, rows):
    folder = tmp_path_factory.mktemp("trec")
    for name, between in {"one": " ", "two": "  "}.items():
        (folder / name).write_text("".join(between.join(row) + "\n" for row in rows), encoding="utf-8", newline="")
    one, two = (read_rows(folder / name, COLUMNS) for name in ("one", "two"))
    assert one.columns == two.columns == [[row[column] for row in rows] for column in range(4)]
    assert list(one.lines) == list(two.lines)


@pytest.mark.parametrize("text", ["", "\n", " \n\n"])
def test_a_file_without_a_row_has_empty_columns(tmp_path, text):
    assert read_rows(written(tmp_path, text), COLUMNS).columns == [[], [], [], []]


def test_a_row_with_other_columns_is_named(tmp_path):
    # Five columns and three are eight together, as two rows of four are.
    path = written(tmp_path, "q1 0 a 1\nq1 0 b 1 x\nq2 0 c\n")
    with pytest.raises(UsageError) as error:
        read_rows(path, COLUMNS)
    assert str(error.value) == (f"{path}: line 2: expected 4 columns, `query 0 passage gain`, found 5: 'q1 0 b 1 x'")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UsageError, match="expected lines of `query 0 passage gain` in UTF-8, found: .*No such file"):
        read_rows(tmp_path / "none.trec", COLUMNS)


def test_names_that_are_not_utf8_keep_their_bytes(tmp_path):
    assert read_rows(written(tmp_path, "é 0 a 1\n", "latin-1"), COLUMNS).columns[0] == ["\udce9"]


@pytest.mark.parametrize("text", ["nan", "inf", "-inf", "high", "1,5"])
def test_a_number_that_is_none_is_named(tmp_path, text):
    rows = read_rows(written(tmp_path, f"q1 0 a 1\n\nq2 0 b {text}\n"), COLUMNS)
    with pytest.raises(UsageError) as error:
        finite_numbers(rows, 3, "gain")
    assert str(error.value).endswith(
        f"line 3: query 'q2', passage 'b': expected a finite number as gain, found {text!r}"
    )


def test_numbers_are_exact(tmp_path):
    values = [0.1, -3e-7, 12.0, 1 / 3]
    rows = Rows(tmp_path, range(1, 5), [["q"] * 4, ["0"] * 4, list("abcd"), list(map(repr, values))])
    assert finite_numbers(rows, 3, "gain").tolist() == values
    assert finite_numbers(rows, 3, "gain").dtype == np.float64


def test_both_lines_of_a_repeated_passage_are_named(tmp_path):
    rows = read_rows(written(tmp_path, "q1 0 a 1\nq2 0 a 1\n\nq1 0 b 1\nq1 0 a 0\n"), COLUMNS)
    with pytest.raises(UsageError, match="lines 1 and 5: query 'q1' has passage 'a' twice; keep one"):
        refuse_repeated(rows)


@pytest.mark.parametrize("name", ["", " ", "a b", "a\n", "a\u00a0b"])
def test_ids_that_the_format_cannot_hold_are_refused(name):
    check_ids("run.trec", ["a", "b-1"], ["é"])
    with pytest.raises(UsageError, match="run.trec: expected ids without white space"):
        check_ids("run.trec", ["a"], [name])
