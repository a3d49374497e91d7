"""Ids on disk, as text and the places where each ends."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ofakit.errors import UsageError
from ofakit.retrieval.id_files import Ids, open_ids, refuse_duplicates, write_ids

NAMES = st.text(st.characters(exclude_characters="\0"), min_size=1, max_size=9)


@given(st.lists(NAMES, unique=True, max_size=12), st.data())
@settings(max_examples=60, deadline=None)
def test_what_was_written_is_read(tmp_path_factory, names, data):
    folder = tmp_path_factory.mktemp("ids")
    assert write_ids(folder, iter(names)) == len(names)
    ids = open_ids(folder)
    assert list(ids) == names and ids[:3] == names[:3]
    positions = data.draw(st.lists(st.integers(-1, len(names) - 1), max_size=8))
    expected = ["" if position < 0 else names[position] for position in positions]
    assert ids.take(np.array(positions, np.int64)).tolist() == expected


def test_several_folders_read_like_one(tmp_path):
    parts = []
    for name, names in {"a": ["x", "yy"], "b": [], "c": ["zzz"]}.items():
        (tmp_path / name).mkdir()
        write_ids(tmp_path / name, names)
        parts += open_ids(tmp_path / name).parts
    ids = Ids(parts)
    assert list(ids) == ["x", "yy", "zzz"] and ids[-1] == "zzz" and len(ids) == 3
    assert ids.take(np.array([[2, 0], [1, -1]])).tolist() == [["zzz", "x"], ["yy", ""]]
    with pytest.raises(IndexError):
        ids[3]


def test_an_id_twice_is_refused_with_both_places(tmp_path):
    with pytest.raises(UsageError, match="items 2 and 4 share the id 'b'"):
        write_ids(tmp_path, ["a", "b", "c", "b"])


def test_an_id_in_two_folders_is_refused(tmp_path):
    write_ids(tmp_path, ["a", "b"])
    parts = open_ids(tmp_path).parts
    with pytest.raises(UsageError, match="items 1 and 3 share the id 'a'"):
        refuse_duplicates(Ids([*parts, *parts]))


@pytest.mark.parametrize("name", ["", 7, None, "a\0"])
def test_what_is_no_id_is_refused(tmp_path, name):
    with pytest.raises(UsageError, match="expected ids as text that is not empty, found .* as number 2"):
        write_ids(tmp_path, ["a", name])


@pytest.mark.parametrize("damage", ["missing", "cut text", "other ends"])
def test_damaged_files_are_refused(tmp_path, damage):
    write_ids(tmp_path, ["a", "bb"])
    if damage == "missing":
        (tmp_path / "ids.bin").unlink()
    elif damage == "cut text":
        (tmp_path / "ids.bin").write_text("a")
    else:
        np.save(tmp_path / "id_ends.npy", np.array([1.0, 3.0]))
    with pytest.raises(UsageError, match="expected ids in"):
        open_ids(tmp_path)
