"""Generated folders are named by their settings and written whole or not at all."""

from __future__ import annotations

import os

import pytest
from ofakit.data.readers._generated import digest_of, generate_once
from ofakit.files import SaveError


def test_other_settings_have_another_name():
    assert digest_of({"seed": 7}) == digest_of({"seed": 7}) != digest_of({"seed": 8})


def test_a_folder_is_generated_once(tmp_path):
    written = []

    def write(folder):
        written.append(folder)
        (folder / "a").write_text("x")

    target = tmp_path / "deep" / "base"
    assert generate_once(target, write) == generate_once(target, write) == target
    assert len(written) == 1 and (target / "a").read_text() == "x"


def test_what_fails_leaves_nothing_behind(tmp_path):
    def write(folder):
        (folder / "a").write_text("x")
        raise OSError(28, "No space left on device")

    with pytest.raises(SaveError, match="No space left"):
        generate_once(tmp_path / "base", write)
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_left_is_removed(tmp_path):
    def killed(folder):
        (folder / "a").write_text("x")
        os._exit(9)

    child = os.fork()
    if child == 0:
        generate_once(tmp_path / "base", killed)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9 and list(tmp_path.iterdir())
    generate_once(tmp_path / "base", lambda folder: (folder / "a").write_text("y"))
    assert [path.name for path in tmp_path.iterdir()] == ["base"]


def test_the_first_of_two_processes_wins(tmp_path):
    target = tmp_path / "base"

    def write(folder):
        (folder / "mine").write_text("x")
        target.mkdir()
        (target / "theirs").write_text("y")

    generate_once(target, write)
    assert [path.name for path in target.iterdir()] == ["theirs"]
    assert list(tmp_path.iterdir()) == [target]
