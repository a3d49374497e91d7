"""A killed process, a full disk or a lost permission leaves the old file or folder intact."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest
from ofakit.files import SaveError, replace_folder, settle, write_text


def test_folder_is_replaced_whole(tmp_path):
    final = tmp_path / "best"
    for text in ("old", "new"):
        with replace_folder(final) as folder:
            (folder / "weights").write_text(text)
    assert (final / "weights").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["best"]


def test_error_while_writing_leaves_the_old_folder(tmp_path):
    final = tmp_path / "best"
    with replace_folder(final) as folder:
        (folder / "weights").write_text("old")
    with pytest.raises(RuntimeError, match="broke"), replace_folder(final) as folder:
        (folder / "weights").write_text("half")
        raise RuntimeError("broke")
    assert (final / "weights").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["best"]


@pytest.mark.parametrize("number, words", [(errno.ENOSPC, "No space left"), (errno.EACCES, "Permission denied")])
def test_disk_that_refuses_gives_a_clear_error_and_keeps_the_old(tmp_path, number, words):
    final = tmp_path / "best"
    with replace_folder(final) as folder:
        (folder / "weights").write_text("old")
    with pytest.raises(SaveError, match=f"{words}.*intact.*--resume"), replace_folder(final):
        raise OSError(number, os.strerror(number))
    assert (final / "weights").read_text() == "old"


def test_file_is_replaced_whole_and_says_when_it_cannot_be(tmp_path, monkeypatch):
    path = tmp_path / "sub" / "conf.json"
    write_text(path, "old")
    write_text(path, "new")
    assert path.read_text() == "new"

    def refuse(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(SaveError, match="cannot save .*conf.json"):
        write_text(path, "lost")
    assert path.read_text() == "new"


def test_settle_brings_back_the_old_folder_after_a_kill_between_the_renames(tmp_path):
    final = tmp_path / "step_5"
    with replace_folder(final) as folder:
        (folder / "weights").write_text("old")
    os.rename(final, tmp_path / ".step_5.old")
    settle(final)
    assert (final / "weights").read_text() == "old"


def test_killed_writer_never_leaves_half_a_folder(tmp_path):
    code = textwrap.dedent(
        """
        import sys
        from pathlib import Path
        from ofakit.files import replace_folder
        number = 0
        while True:
            with replace_folder(Path(sys.argv[1])) as folder:
                for name in "abc":
                    (folder / name).write_text(str(number) * 5000)
            number += 1
        """
    )
    final = tmp_path / "step"
    for pause in (0.25, 0.31, 0.4):
        writer = subprocess.Popen([sys.executable, "-c", code, str(final)])
        while not final.exists():
            time.sleep(0.01)
        time.sleep(pause)
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        settle(final)
        contents = {(final / name).read_text() for name in "abc"}
        assert len(contents) == 1 and len(contents.pop()) >= 5000
