"""Turns the images that a pipeline is given into what the decoder reads: addresses are fetched, open files read.

Passing an address to a pipeline is a request to fetch it. An address in a data file is not: readers and the command
`ofakit caption` download nothing.
"""

from __future__ import annotations

import http.client
import urllib.request
from pathlib import Path
from typing import Any

from ofakit.data import BadImage
from ofakit.data.image_folders import images_in
from ofakit.errors import UsageError

__all__ = ["folder_images", "image_content"]

SCHEMES = ("http://", "https://")
SECONDS = 30
"""Seconds that a server may be silent."""


def image_content(image: Any) -> Any:
    """The bytes behind an address or of an open file; anything else is returned unchanged.

    Args:
        image: The image as given.

    Raises:
        BadImage: The address could not be fetched, or the file could not be read or does not give bytes.
    """
    if isinstance(image, str) and image.lower().startswith(SCHEMES):
        return _fetched(image)
    if not hasattr(image, "read") or isinstance(image, Path):
        return image
    name = str(getattr(image, "name", None) or f"<{type(image).__name__}>")
    try:
        content = image.read()
    except (OSError, ValueError) as error:
        raise BadImage(name, str(error)) from error
    if not isinstance(content, bytes):
        raise BadImage(name, f"expected a file opened in binary mode, found one that returns {type(content).__name__}")
    return content


def _fetched(address: str) -> bytes:
    request = urllib.request.Request(address, headers={"User-Agent": "ofakit"})
    try:
        with urllib.request.urlopen(request, timeout=SECONDS) as answer:
            return answer.read()
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise BadImage(address, f"could not be fetched: {error or type(error).__name__}") from error


def folder_images(given: Any) -> list[str] | None:
    """The images of a folder and its subfolders, ordered by name.

    Args:
        given: The input of a pipeline.

    Returns:
        None if it is not a folder.

    Raises:
        UsageError: The folder contains no image.
    """
    if not isinstance(given, str | Path) or not _is_folder(given):
        return None
    images, others = images_in(Path(given))
    if not images:
        raise UsageError(f"the folder {given} contains no images ({len(others)} other files)")
    return [str(path) for path in images]


def _is_folder(given: str | Path) -> bool:
    try:
        return Path(given).is_dir()
    except (OSError, ValueError):  # a name that is too long, or holds a null byte, is none
        return False
