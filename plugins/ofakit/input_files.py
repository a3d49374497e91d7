"""Files named by a user, read safely: anything that is not a regular file or harmless JSON is refused with a message.

A FIFO would keep a reader waiting for ever, a symbolic link may lead round in a circle, and a name may be longer than
the system takes. `os.path` says of all these that there is no file, where `pathlib` raises.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

from ofakit.errors import UsageError
from ofakit.json_text import NotJson, from_json

__all__ = ["read_bytes", "read_json_file", "refuse_odd_files"]

LONGEST = 200
"""Characters of a path that a message shows."""


def read_bytes(path: str | Path, what: str) -> bytes:
    """The content of a file.

    Args:
        path: The file.
        what: What it should be, such as "a configuration file", for the message.

    Raises:
        UsageError: It is missing or cannot be read, or it is a folder, a pipe or a device.
    """
    try:
        mode = os.stat(path).st_mode
        if stat.S_ISREG(mode):
            return Path(path).read_bytes()
    except (OSError, ValueError) as error:  # a name with a null character is a ValueError
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise UsageError(f"expected {what} in {_shown(path)}, found: {reason}") from None
    kind = "a folder" if stat.S_ISDIR(mode) else "a pipe or a device"
    raise UsageError(f"expected {what} in {_shown(path)}, found {kind}; name a file")


def read_json_file(path: str | Path, what: str) -> Any:
    """The value in a JSON file.

    Args:
        path: The file, in UTF-8.
        what: What it should be, for the message.

    Raises:
        UsageError: As `read_bytes`, or it is not JSON, or none that `from_json` takes.
    """
    content = read_bytes(path, what)
    try:
        return from_json(content)
    except NotJson as error:
        raise UsageError(f"{path} is not valid JSON: {error}") from None
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from None


def refuse_odd_files(path: str | Path) -> None:
    """Refuse a model directory that holds what is neither a file nor a folder: libraries would wait for it for ever.

    Args:
        path: The directory, looked at two levels deep, or a file.

    Raises:
        UsageError: It, or something in it, is a pipe, a device or a link that leads nowhere or in a circle.
    """
    if not os.path.lexists(path):
        return  # whoever wants it says what is missing
    folders = [path, *(entry.path for entry in _inside(path) if os.path.isdir(entry.path))]
    for entry in [str(path), *(inner.path for folder in folders for inner in _inside(folder))]:
        if not (os.path.isfile(entry) or os.path.isdir(entry)):
            raise UsageError(f"expected files and folders, found a pipe, a device or a broken link: {_shown(entry)}")


def _inside(folder: str | Path) -> list[os.DirEntry[str]]:
    if not os.path.isdir(folder):
        return []
    with os.scandir(folder) as entries:
        return list(entries)


def _shown(path: str | Path) -> str:
    text = str(path)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} … ({len(text)} characters)"
