"""What ofakit wrote is told from what others put into a folder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ofakit.errors import UsageError
from ofakit.folder_marks import MARK, mark, refuse_strangers, strangers


def folder_of(place, *names):
    for name in names:
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text(name)
    return place


def test_what_was_there_when_it_was_marked_is_no_stranger(tmp_path):
    folder = folder_of(tmp_path / "model", "config.json", "1_Pooling/config.json")
    mark(folder)
    assert strangers(folder) == []
    folder_of(folder, "thesis.tex", "1_Pooling/notes.txt")
    assert strangers(folder) == [Path("1_Pooling/notes.txt"), Path("thesis.tex")]
    with pytest.raises(UsageError, match=r"model contains 1_Pooling/notes.txt, thesis.tex, which would be lost"):
        refuse_strangers(folder)


def test_a_folder_that_was_added_later_counts_where_it_is_marked_itself(tmp_path):
    folder = folder_of(tmp_path / "index", "index.json")
    mark(folder)
    mark(folder_of(folder / "part-0001", "vectors.bin"))
    folder_of(folder, "part-0002/vectors.bin")
    assert strangers(folder) == [Path("part-0002/vectors.bin")]


def test_files_that_a_database_makes_when_it_is_opened_are_its_own(tmp_path):
    folder = folder_of(tmp_path / "engine", "milvus.db")
    mark(folder)
    folder_of(folder, "milvus.db-wal", ".milvus.db.lock")
    assert strangers(folder) == []
    assert strangers(folder_of(tmp_path / "theirs", "contacts.db")) == [Path("contacts.db")]


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", "null", '{"written_by": "ofakit"}', '{"written_by": "you", "files": ["a"]}']
)
def test_a_list_that_is_none_of_ours_makes_nothing_ours(tmp_path, text):
    folder = folder_of(tmp_path / "model", "a")
    (folder / MARK).write_text(text)
    assert {str(path) for path in strangers(folder)} == {MARK, "a"}


def test_new_and_empty_folders_may_be_written_and_a_file_may_not(tmp_path):
    (tmp_path / "empty" / "inside").mkdir(parents=True)
    refuse_strangers(tmp_path / "new")
    refuse_strangers(tmp_path / "empty")
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UsageError, match="found the file .*file"):
        refuse_strangers(tmp_path / "file")


def test_links_are_files_and_are_not_followed(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    folder = folder_of(tmp_path / "model", "a")
    (folder / "inside").symlink_to(folder)
    mark(folder)
    assert json.loads((folder / MARK).read_text())["files"] == ["a", "inside"] and strangers(folder) == []
    (folder / "link").symlink_to(tmp_path / "elsewhere")
    assert strangers(folder) == [Path("link")]
