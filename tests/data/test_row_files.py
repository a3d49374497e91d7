"""Rows of JSON lines, packed ones, Parquet and Arrow, one file or a folder of them."""

from __future__ import annotations

import gzip
import json

import pytest
from ofakit.data.row_files import iter_rows, row_files
from ofakit.errors import UsageError

ROWS = [{"id": str(k), "text": f"text {k}", "more": {"paragraph": [str(k)]}} for k in range(5)]


def write(path, rows=ROWS):
    path.parent.mkdir(parents=True, exist_ok=True)
    content = "".join(json.dumps(row) + "\n" for row in rows)
    if path.suffix in (".parquet", ".arrow"):
        pyarrow = pytest.importorskip("pyarrow")
        from pyarrow import ipc, parquet

        table = pyarrow.Table.from_pylist(rows)
        if path.suffix == ".parquet":
            parquet.write_table(table, path)
        else:
            with ipc.new_stream(path, table.schema) as stream:
                stream.write_table(table)
    elif path.suffix == ".gz":
        path.write_bytes(gzip.compress(content.encode()))
    else:
        path.write_text(content)
    return path


@pytest.mark.parametrize("suffix", [".jsonl", ".jsonl.gz", ".parquet", ".arrow"])
def test_every_format_gives_the_same_rows(tmp_path, suffix):
    found = list(iter_rows(write(tmp_path / f"a{suffix}"), "rows"))
    assert [row for _, row in found] == ROWS
    assert found[2][0].endswith(" 3") and f"a{suffix}" in found[2][0]


@pytest.mark.parametrize("folder", ["", "data/"])
def test_a_folder_stands_for_its_files_in_order(tmp_path, folder):
    write(tmp_path / "d" / f"{folder}b-1.jsonl", ROWS[2:])
    write(tmp_path / "d" / f"{folder}b-0.jsonl", ROWS[:2])
    (tmp_path / "d" / "README.md").write_text("x")
    (tmp_path / "d" / "cache-1.arrow").write_text("x")
    assert [row for _, row in iter_rows(tmp_path / "d", "rows")] == ROWS
    assert [file.name for file in row_files(tmp_path / "d", "rows")] == ["b-0.jsonl", "b-1.jsonl"]


def test_columns_are_left_out_where_the_format_can(tmp_path):
    rows = [row for _, row in iter_rows(write(tmp_path / "a.parquet"), "rows", ["id", "none"])]
    assert rows == [{"id": row["id"]} for row in ROWS]


def test_what_cannot_be_read_is_named(tmp_path):
    with pytest.raises(UsageError, match="expected rows in .*none.jsonl; there is no such file"):
        list(iter_rows(tmp_path / "none.jsonl", "rows"))
    (tmp_path / "a.csv").write_text("x")
    with pytest.raises(UsageError, match="expected rows as one of .jsonl.*found .*a.csv"):
        list(iter_rows(tmp_path / "a.csv", "rows"))
    with pytest.raises(UsageError, match="expected rows in the folder .* it contains a.csv"):
        list(iter_rows(tmp_path, "rows"))
    (tmp_path / "a.parquet").write_text("x")
    pytest.importorskip("pyarrow")
    with pytest.raises(UsageError, match="expected rows in .*a.parquet, found"):
        list(iter_rows(tmp_path / "a.parquet", "rows"))
    write(tmp_path / "mixed" / "a.jsonl")
    write(tmp_path / "mixed" / "b.parquet")
    with pytest.raises(UsageError, match="files of one kind"):
        list(iter_rows(tmp_path / "mixed", "rows"))
