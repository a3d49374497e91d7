"""Files that users name: what is no file, or no JSON that can be trusted, is refused in words and at once."""

from __future__ import annotations

import os

import pytest
from ofakit.errors import UsageError
from ofakit.input_files import read_bytes, read_json_file, refuse_odd_files


@pytest.fixture
def places(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "dangling").symlink_to(tmp_path / "gone")
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text('{"a": 1}')
    (tmp_path / "link").symlink_to(tmp_path / "file")
    return tmp_path


@pytest.mark.parametrize(
    ("name", "found"),
    [("fifo", "a pipe or a device"), ("loop", "Too many levels of symbolic links"), ("dangling", "No such file"),
     ("folder", "a folder"), ("file/inside", "Not a directory"), ("x" * 5000, "File name too long"),
     ("a\0b", "null")],
)  # fmt: skip
def test_what_is_no_file_is_refused(places, name, found):
    with pytest.raises(UsageError, match=rf"expected a list in .*, found:? .*{found}") as caught:
        read_bytes(places / name, "a list")
    assert len(str(caught.value)) < 600


def test_a_file_is_read_through_a_link(places):
    assert read_bytes(places / "link", "a list") == b'{"a": 1}'
    assert read_json_file(str(places / "file"), "a list") == {"a": 1}


@pytest.mark.parametrize(
    ("content", "found"),
    [(b"{", "is not valid JSON: Expecting"), (b"\xff{}", "is not valid JSON: 'utf-8'"),
     (b'{"a": {"b": 1, "b": 2}}', r": a\.b: the key appears twice"), (b"", "is not valid JSON")],
)  # fmt: skip
def test_a_message_names_the_file(places, content, found):
    (places / "file").write_bytes(content)
    with pytest.raises(UsageError, match=f"file{found}|file {found}"):
        read_json_file(places / "file", "a list")


def test_a_directory_of_files_and_links_to_files_passes(places):
    for name in ("fifo", "loop", "dangling"):
        (places / name).unlink()
    refuse_odd_files(places)
    refuse_odd_files(places / "file")


@pytest.mark.parametrize("name", ["fifo", "loop", "dangling"])
def test_an_odd_file_is_found_at_once_also_one_level_down(places, name):
    with pytest.raises(UsageError, match=f"a pipe, a device or a broken link: .*{name}"):
        refuse_odd_files(places / name)
    (places / name).rename(places / "folder" / name)
    for other in {"fifo", "loop", "dangling"} - {name}:
        (places / other).unlink()
    with pytest.raises(UsageError, match=f"folder/{name}"):
        refuse_odd_files(places)
