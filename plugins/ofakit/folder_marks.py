"""Which folders ofakit wrote, so that it replaces and removes nothing else.

A folder that is written as a whole lists its files in `.ofakit.json`. Whatever is not on the list, somebody else put
there: such a folder is refused where it would be replaced.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ofakit.errors import UsageError
from ofakit.json_text import from_json, to_json

__all__ = ["MARK", "mark", "refuse_file", "refuse_strangers", "strangers"]

MARK = ".ofakit.json"
WRITER = "ofakit"
SHOWN = 3


def mark(folder: Path) -> None:
    """List the files of a folder in it.

    Args:
        folder: Holds nothing but what ofakit wrote.
    """
    files = sorted(
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_symlink() or not path.is_dir()
    )
    about = {"written_by": WRITER, "files": [name for name in files if name != MARK]}
    (folder / MARK).write_text(to_json(about, indent=1) + "\n", encoding="utf-8")


def strangers(folder: Path) -> list[Path]:
    """The files of a folder, and of those in it, that ofakit did not write.

    Args:
        folder: A folder, or a place where nothing is.

    Returns:
        Relative to it.
    """
    if not folder.is_dir():
        return []
    return [path.relative_to(folder) for path in _unlisted(folder, folder, frozenset())]


def refuse_strangers(folder: Path) -> None:
    """Refuse to replace a folder in which something would be lost.

    Args:
        folder: What is to be replaced.

    Raises:
        UsageError: A file is in its place, or there is something in it that ofakit did not write.
    """
    refuse_file(folder)
    found = strangers(folder)
    if found:
        more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
        shown = ", ".join(map(str, found[:SHOWN]))
        raise UsageError(
            f"expected a new or empty folder, or one that ofakit wrote; {folder} contains {shown}{more}, which would "
            "be lost; choose another folder, or move the contents away"
        )


def refuse_file(folder: Path) -> None:
    """Refuse to put a folder in place of a file, or below one.

    Args:
        folder: Where it is going to be put.

    Raises:
        UsageError: A file is in the way.
    """
    path = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    if not path.is_dir():
        raise UsageError(f"expected a new or empty folder, found the file {path}; choose another place")


def _unlisted(folder: Path, root: Path, listed: frozenset[str]) -> Iterator[Path]:
    """The files below a folder that neither its own list has nor that of the folder around it."""
    own = _listed(folder)
    if own is not None:
        root, listed = folder, own
    for path in sorted(folder.iterdir()):
        inside = path.relative_to(root)
        if path.is_dir() and not path.is_symlink():
            yield from _unlisted(path, root, listed)
        # A database makes files of its own when it is opened.
        elif inside.as_posix() not in listed and not (listed and any(".db" in part for part in inside.parts)):
            yield path


def _listed(folder: Path) -> frozenset[str] | None:
    """The files on a folder's list, with the list itself; None if it has none of ours."""
    try:
        about = from_json((folder / MARK).read_bytes())
        if about["written_by"] == WRITER:
            return frozenset([*map(str, about["files"]), MARK])
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return None
