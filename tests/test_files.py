"""A killed process, a full disk or a lost permission leaves the old file or folder intact."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from ofakit.errors import UsageError
from ofakit.files import (
    SaveError,
    link_or_copy,
    numbered_folders,
    put_folder,
    remove_folder,
    replace_file,
    replace_folder,
    saving,
    settle,
    write_text,
)
from ofakit.folder_marks import MARK, mark, strangers
from safetensors.torch import save_file

from tests.file_limit import file_limit


def test_folder_is_replaced_whole(tmp_path):
    final = tmp_path / "best"
    for text in ("old", "new"):
        with replace_folder(final) as folder:
            (folder / "weights").write_text(text)
    assert (final / "weights").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["best"]


def test_a_folder_with_something_of_others_is_refused_or_keeps_it(tmp_path):
    final, aside = tmp_path / "best", tmp_path / "new"
    with replace_folder(final) as folder:
        (folder / "weights").write_text("old")
    (final / "notes").mkdir()
    (final / "notes" / "a.txt").write_text("mine")
    with pytest.raises(UsageError, match="best contains notes/a.txt"), replace_folder(final) as folder:
        raise AssertionError
    aside.mkdir()
    with pytest.raises(UsageError, match="best contains notes/a.txt"):
        put_folder(aside, final)
    assert (final / "weights").read_text() == "old" and aside.is_dir()
    for _ in range(2):  # what was kept once is still theirs
        with replace_folder(final, keep_strangers=True) as folder:
            (folder / "weights").write_text("new")
    assert (final / "weights").read_text() == "new" and (final / "notes" / "a.txt").read_text() == "mine"
    assert strangers(final) == [Path("notes/a.txt")]
    remove_folder(final)
    assert [path for path in final.rglob("*") if path.is_file()] == [final / "notes" / "a.txt"]
    (final / "notes" / "a.txt").unlink()
    remove_folder(final)
    assert not final.exists()


@pytest.mark.parametrize("there", [True, False])
def test_a_link_stays_and_leads_to_what_is_new(tmp_path, there):
    disk, link, file = tmp_path / "disk" / "best", tmp_path / "run" / "best", tmp_path / "run" / "conf.json"
    link.parent.mkdir()
    link.symlink_to(disk)
    file.symlink_to(tmp_path / "disk" / "conf.json")
    (tmp_path / "run" / "checkpoints").symlink_to(tmp_path / "disk" / "checkpoints")
    if there:
        disk.mkdir(parents=True)
        (tmp_path / "disk" / "checkpoints").mkdir()
    for text in ("first", "second"):
        for place in (link, tmp_path / "run" / "checkpoints" / "step_1"):
            with replace_folder(place) as folder:
                (folder / "weights").write_text(text)
        write_text(file, text)
    assert link.is_symlink() and (disk / "weights").read_text() == "second"
    assert file.is_symlink() and (tmp_path / "disk" / "conf.json").read_text() == "second"
    assert (tmp_path / "disk" / "checkpoints" / "step_1" / "weights").read_text() == "second"
    assert sorted(path.name for path in (tmp_path / "disk").iterdir()) == ["best", "checkpoints", "conf.json"]


@pytest.mark.parametrize("text", ["caf\udce9.jpg", "\ud800", "snow ☃"])
def test_text_that_is_not_unicode_is_written(tmp_path, text):
    write_text(tmp_path / "page.html", text)
    content = (tmp_path / "page.html").read_bytes()
    assert content.decode("utf-8", "surrogatepass" if text == "\ud800" else "surrogateescape") == text


def test_folders_are_found_by_their_number_and_nothing_else_is(tmp_path):
    for name in (
        "step_10",
        "step_9",
        "step_4_backup",
        "step_",
        "step_04",
        "step_\N{SUPERSCRIPT TWO}",
        "step_1e3",
        "step_-1",
    ):
        (tmp_path / name).mkdir()
    (tmp_path / "step_11").write_text("a file")
    assert numbered_folders(tmp_path, "step_") == {9: tmp_path / "step_9", 10: tmp_path / "step_10"}
    assert numbered_folders(tmp_path / "none") == {}


@pytest.mark.parametrize("old", [True, False])
def test_a_folder_that_was_filled_before_takes_the_place(tmp_path, old):
    final, new = tmp_path / "index", tmp_path / ".index.partial"
    new.mkdir()
    (new / "vectors").write_text("new")
    if old:
        final.mkdir()
        (final / "vectors_of_before").write_text("old")
        mark(final)
    put_folder(new, final)
    assert [path.name for path in tmp_path.iterdir()] == ["index"]
    assert sorted(path.name for path in final.iterdir()) == [MARK, "vectors"]


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


def write_by_torch(path):
    with open(path, "wb") as file:
        torch.save({str(i): torch.zeros(5_000) for i in range(8)}, file)


WRITERS = {
    "text": lambda path: path.write_text("x" * 50_000),
    "numpy": lambda path: np.savez_compressed(path, np.random.default_rng(0).random(10_000)),
    "torch": write_by_torch,
    "safetensors": lambda path: save_file({"weight": torch.zeros(50_000)}, path),
    "copytree": lambda path: shutil.copytree(path.parents[1] / "large", path),
}


@pytest.mark.parametrize("limit", [0, 20_050, 40_000])
@pytest.mark.parametrize("writer", WRITERS)
def test_writer_past_the_room_gives_a_clear_error_and_keeps_the_old(tmp_path, writer, limit):
    (tmp_path / "large").mkdir()
    (tmp_path / "large" / "file").write_bytes(bytes(50_000))
    final = tmp_path / "best"
    with replace_folder(final) as folder:
        (folder / "weights").write_text("old")
    refused = pytest.raises(SaveError, match=f"cannot save {final}: File too large.*intact.*--resume")
    with refused, replace_folder(final) as folder, file_limit(limit):
        WRITERS[writer](folder / "weights.new")
    assert (final / "weights").read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["best", "large"]


def test_error_of_another_kind_stays_what_it_is(tmp_path):
    with pytest.raises(FileNotFoundError), replace_folder(tmp_path / "best") as folder:
        (folder / "absent").read_text()
    assert not any(tmp_path.iterdir())


def test_file_is_replaced_whole_and_says_when_it_cannot_be(tmp_path):
    path = tmp_path / "sub" / "conf.json"
    write_text(path, "old")
    write_text(path, "new")
    assert path.read_text() == "new"
    with pytest.raises(SaveError, match="cannot save .*/conf.json: File too large"), file_limit(3):
        write_text(path, "lost")
    assert path.read_text() == "new" and [file.name for file in path.parent.iterdir()] == ["conf.json"]


def test_an_error_while_a_file_is_written_leaves_the_old_one(tmp_path):
    path = tmp_path / "conf.json"
    write_text(path, "old")
    with pytest.raises(RuntimeError, match="broke"), replace_file(path) as new:
        new.write_text("half")
        assert new.parent == tmp_path and path.read_text() == "old"
        raise RuntimeError("broke")
    assert path.read_text() == "old" and [file.name for file in tmp_path.iterdir()] == ["conf.json"]


def test_text_is_written_as_utf8(tmp_path):
    write_text(tmp_path / "styles.txt", "fröhlich\n")
    assert (tmp_path / "styles.txt").read_bytes() == "fröhlich\n".encode()


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.EROFS, "Read-only file system"),
        RuntimeError("I/O error: File too large (os error 27)"),
        RuntimeError('Os { code: 122, kind: Other, message: "Disk quota exceeded" }'),
        shutil.Error([("a", "b", "[Errno 28] No space left on device")]),
    ],
)
def test_a_refusal_is_known_by_its_number_wherever_it_stands(tmp_path, error):
    with (
        pytest.raises(SaveError, match="cannot save .*absent/best: .* MiB free") as caught,
        saving(tmp_path / "absent" / "best"),
    ):
        raise error
    assert caught.value.__cause__ is error


def test_a_refusal_behind_another_error_is_found(tmp_path):
    with pytest.raises(SaveError, match="No space left"), saving(tmp_path / "best"):
        try:
            raise OSError(errno.ENOSPC, "No space left on device")
        except OSError:
            raise RuntimeError("the writer failed")  # noqa: B904


def test_settle_takes_the_old_folder_away_once_the_new_one_is_there(tmp_path):
    for name in ("step_5", ".step_5.old"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "weights").write_text(name)
    settle(tmp_path / "step_5")
    assert [path.name for path in tmp_path.iterdir()] == ["step_5"]
    assert (tmp_path / "step_5" / "weights").read_text() == "step_5"


@pytest.mark.parametrize("order", [1, -1])
def test_a_killed_removal_leaves_no_half_of_a_folder_and_the_next_removes_the_rest(tmp_path, order):
    for name in ("one", "other"):
        with replace_folder(tmp_path / name) as folder:
            for number in range(3):
                (folder / f"{number}").write_text("x")
    child = os.fork()
    if child == 0:

        def killed(folder, **_):
            sorted(folder.iterdir())[::order][0].unlink()
            os._exit(9)

        shutil.rmtree = killed
        remove_folder(tmp_path / "one")
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    assert not (tmp_path / "one").exists()
    remove_folder(tmp_path / "other")
    assert list(tmp_path.iterdir()) == []


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


def test_a_second_name_is_a_link_where_the_disk_has_them_and_a_copy_elsewhere(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("content")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    link_or_copy(tmp_path / "link", tmp_path / "same")
    assert (tmp_path / "same").samefile(tmp_path / "file") and not (tmp_path / "same").is_symlink()
    monkeypatch.setattr(os, "link", lambda *_: (_ for _ in ()).throw(OSError("no second names")))
    link_or_copy(tmp_path / "link", tmp_path / "copy")
    assert (tmp_path / "copy").read_text() == "content" and not (tmp_path / "copy").samefile(tmp_path / "file")
