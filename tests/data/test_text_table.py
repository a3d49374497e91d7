"""Texts by key, in memory and in a file."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ofakit.data.text_table import TextTable, key_hash
from ofakit.errors import UsageError

TEXT = st.text(max_size=5)


@given(st.lists(st.tuples(TEXT, TEXT), max_size=30), TEXT)
def test_it_is_a_mapping_in_which_the_first_counts(pairs, other):
    expected = dict(reversed(pairs))
    table = TextTable(pairs)
    assert len(table) == len(expected)
    assert {key: table.get(key) for key in expected} == expected
    assert table.get(other) == expected.get(other)


def test_a_file_gives_it_back(tmp_path):
    path = tmp_path / "deep" / "table.npz"
    TextTable([("a", "x"), ("\udc80", "é")]).save(path)
    table = TextTable.load(path)
    assert (table.get("a"), table.get("\udc80"), table.get("b")) == ("x", "é", None)


@pytest.mark.parametrize("content", [b"", b"nothing of the kind"])
def test_another_file_is_refused(tmp_path, content):
    (tmp_path / "t.npz").write_bytes(content)
    with pytest.raises(UsageError, match="expected a table of texts in .*t.npz"):
        TextTable.load(tmp_path / "t.npz")
    np.savez(tmp_path / "o.npz", other=np.zeros(1))
    with pytest.raises(UsageError, match="expected a table of texts"):
        TextTable.load(tmp_path / "o.npz")


def test_hashes_are_the_same_in_every_process():
    assert key_hash("a") == 3405396810240292928
    assert 0 <= key_hash("Alain Connes") < 2**64
