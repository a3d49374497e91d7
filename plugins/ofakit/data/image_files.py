"""The file that an image name in a data set refers to on this machine."""

from __future__ import annotations

from pathlib import Path

__all__ = ["existing"]


def existing(path: Path) -> Path:
    """A path whose backslashes separate folders, as on Windows, where there is no file of its own name.

    Args:
        path: As a data set names it.

    Returns:
        The path with slashes where only that is a file, else the path as it is.
    """
    if "\\" not in str(path) or path.exists():
        return path
    here = Path(str(path).replace("\\", "/"))
    return here if here.exists() else path
