"""The file that the name of an image in a data set means here."""

from __future__ import annotations

from pathlib import Path

__all__ = ["existing"]


def existing(path: Path) -> Path:
    """A path whose backslashes part folders, as on Windows, where there is no file of its own name.

    Args:
        path: As a data set names it.

    Returns:
        The path with slashes where only that is a file, else the path as it is.
    """
    if "\\" not in str(path) or path.exists():
        return path
    here = Path(str(path).replace("\\", "/"))
    return here if here.exists() else path
