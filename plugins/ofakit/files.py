"""Write files and folders so that a killed process leaves either the old or the new one, never half of one.

A folder is written beside its final name, synced and renamed. A folder cannot be renamed over another, so the old one
steps aside first; `settle` repairs what a kill between the two renames leaves behind. Only what ofakit wrote is
replaced (`folder_marks`), and a symbolic link stays one: what it leads to is replaced.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ofakit.errors import OfakitError
from ofakit.folder_marks import mark, refuse_strangers, strangers
from ofakit.platforms import sync

__all__ = [
    "SaveError",
    "encoded",
    "finish_removals",
    "link_or_copy",
    "numbered_folders",
    "put_folder",
    "refusal",
    "remove_folder",
    "replace_file",
    "replace_folder",
    "saving",
    "settle",
    "write_text",
]

NEW, OLD, GONE = ".new", ".old", ".gone"
REFUSALS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EACCES, errno.EPERM, errno.EROFS)
NUMBER = re.compile(r"(?:\[Errno |\(os error |Os \{ code: )(\d+)")
"""How Python, and libraries in Rust such as safetensors, write the number of a system error."""


class SaveError(OfakitError):
    """The disk refused to write; what was there before is intact."""


@contextmanager
def saving(path: Path) -> Iterator[None]:
    """Turn a full disk or a lost permission in the block into one clear sentence.

    Args:
        path: What the block writes.

    Raises:
        SaveError: The disk is full, a limit is reached or permission is missing.
    """
    try:
        yield
    except Exception as error:
        number = refusal(error)
        if number is None:
            raise
        free = shutil.disk_usage(_existing_parent(path)).free
        raise SaveError(
            f"cannot save {path}: {os.strerror(number)} ({free / 2**20:.0f} MiB free). What was saved before is "
            "intact. Free some space or fix the permissions and try again; a training run continues with --resume"
        ) from error


def refusal(error: BaseException | None) -> int | None:
    """The number of the system error by which the disk refused, or None.

    Args:
        error: What ended the writing.

    safetensors and `shutil.copytree` have the number in their message only, and `torch.save` raises an error of its own
    after the system's.
    """
    while error is not None:
        for number in map(int, NUMBER.findall(str(error))):
            if number in REFUSALS:
                return number
        error = error.__context__
    return None


def _existing_parent(path: Path) -> Path:
    """The nearest folder above a path that exists."""
    return next(parent for parent in path.absolute().parents if parent.exists())


def write_text(path: Path, text: str) -> None:
    """Replace a file in one step.

    Args:
        path: The file; its folder is created where it is missing.
        text: Its new content.

    Raises:
        SaveError: The disk is full or permission is missing; the old file is intact.
    """
    with replace_file(path) as new:
        new.write_bytes(encoded(text))


def encoded(text: str) -> bytes:
    """Text as UTF-8; a name that is not UTF-8 as the bytes that it has on disk.

    Args:
        text: Any text, with lone surrogates too.

    >>> encoded("caf\\udce9"), encoded("\\ud800")
    (b'caf\\xe9', b'\\xed\\xa0\\x80')
    """
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")


@contextmanager
def replace_file(final: Path) -> Iterator[Path]:
    """Write a new file that takes the final name only when the block ends without an error.

    Args:
        final: The file's final name; its folder is created where it is missing.

    Yields:
        The file to write.

    Raises:
        SaveError: The disk is full or permission is missing; the old file is intact.
    """
    final = _behind_link(final)
    beside = final.with_name(f".{final.name}{NEW}")
    with saving(final):
        _make_parent(final)
        try:
            yield beside
            sync(beside)
            os.replace(beside, final)
        except BaseException:
            beside.unlink(missing_ok=True)
            raise


@contextmanager
def replace_folder(final: Path, keep_strangers: bool = False) -> Iterator[Path]:
    """Fill a new folder that takes the final name only when the block ends without an error.

    Args:
        final: The folder's final name; a folder that has it is replaced.
        keep_strangers: Copy what others put into the old folder into the new one, as a run must that cannot stop to
            ask; otherwise the folder is refused.

    Yields:
        The folder to write into.

    Raises:
        UsageError: In the folder is something that ofakit did not write.
        SaveError: The disk is full or permission is missing; the old folder is intact.
    """
    final = _behind_link(final)
    beside = final.with_name(f".{final.name}{NEW}")
    with saving(final):
        settle(final)
        if not keep_strangers:
            refuse_strangers(final)
        _make_parent(final)
        shutil.rmtree(beside, ignore_errors=True)
        beside.mkdir()
        try:
            yield beside
            mark(beside)
            if keep_strangers:
                _copy_strangers(final, beside)
            _sync_tree(beside)
        except BaseException:
            shutil.rmtree(beside, ignore_errors=True)
            raise
        _rename(beside, final)


def put_folder(new: Path, final: Path) -> None:
    """Give a filled folder its final name; one that took several runs to fill, where `replace_folder` would start over.

    Args:
        new: The folder, on the disk of its final name.
        final: The name; a folder that has it is replaced.

    Raises:
        UsageError: In the old folder is something that ofakit did not write.
        SaveError: The disk is full or permission is missing; the old folder is intact.
    """
    final = _behind_link(final)
    with saving(final):
        settle(final)
        refuse_strangers(final)
        mark(new)
        _sync_tree(new)
        _rename(new, final)


def remove_folder(folder: Path) -> None:
    """Remove a folder that ofakit wrote; what others have put into it stays.

    It loses its name first, so that a process that is killed meanwhile leaves no half of it under that name; the next
    removal beside it removes the rest.

    Args:
        folder: The folder; nothing happens where it is not there.
    """
    finish_removals(folder.parent)
    kept = {folder / path for path in strangers(folder)}
    if not kept:
        gone = folder if folder.is_symlink() else folder.with_name(f".{folder.name}{GONE}")
        with suppress(OSError):
            os.rename(folder, gone)
            shutil.rmtree(gone, ignore_errors=True)
        return
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_dir() and not path.is_symlink():
            with suppress(OSError):
                path.rmdir()
        elif path not in kept:
            path.unlink(missing_ok=True)


def finish_removals(parent: Path) -> None:
    """Remove what killed removals have left.

    Args:
        parent: The folder around those that were removed.
    """
    for left in parent.glob(f".*{GONE}"):
        shutil.rmtree(left, ignore_errors=True)


def link_or_copy(source: str | Path, target: str | Path) -> None:
    """The same file under another name, copied where the disk has no second names.

    Args:
        source: The file.
        target: The other name, in a folder that is there.
    """
    try:
        os.link(os.path.realpath(source), target)
    except OSError:
        shutil.copy2(source, target)


def numbered_folders(folder: Path, prefix: str = "") -> dict[int, Path]:
    """The folders in a folder that are called by a number, the smallest first; whatever else lies there is left out.

    Args:
        folder: The folder around them; it need not be there.
        prefix: What stands before the number, such as "step_"; `step_4_backup` is none, nor is `step_04`.
    """
    found = {path.name.removeprefix(prefix): path for path in folder.glob(f"{prefix}*") if path.is_dir()}
    numbers = {int(name): path for name, path in found.items() if name.isascii() and name.isdigit() and len(name) < 19}
    return {number: path for number, path in sorted(numbers.items()) if path.name == f"{prefix}{number}"}


def _copy_strangers(old: Path, new: Path) -> None:
    """Copy what ofakit did not write, unless the new folder has a file of that name."""
    for path in strangers(old):
        if not os.path.lexists(new / path):
            (new / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(old / path, new / path, follow_symlinks=False)


def _behind_link(path: Path) -> Path:
    """What a symbolic link leads to, whether it is there or not; any other path as it is."""
    return Path(os.path.realpath(path)) if path.is_symlink() else path


def _make_parent(path: Path) -> None:
    """Make the folder around a path where it is missing, also at the end of a link that leads nowhere yet."""
    _behind_link(path.parent).mkdir(parents=True, exist_ok=True)


def _rename(new: Path, final: Path) -> None:
    """Rename a folder that is on disk as a whole; the one in its place steps aside first."""
    aside = final.with_name(f".{final.name}{OLD}")
    if final.exists():
        os.rename(final, aside)
    os.rename(new, final)
    sync(final.parent)
    shutil.rmtree(aside, ignore_errors=True)


def settle(final: Path) -> None:
    """Finish what a killed `replace_folder` left: bring back the old folder, or remove it if the new one is there.

    Args:
        final: The folder's final name.
    """
    aside = final.with_name(f".{final.name}{OLD}")
    if aside.exists():
        if final.exists():
            shutil.rmtree(aside, ignore_errors=True)
        else:
            os.rename(aside, final)


def _sync_tree(folder: Path) -> None:
    """Flush every file of a folder, and the folder itself, to disk."""
    for path in [*folder.rglob("*"), folder]:
        if not path.is_symlink():
            sync(path)
