"""The images in a folder: files named like one, and files that Pillow recognises whatever their name."""

from __future__ import annotations

import warnings
from pathlib import Path

__all__ = ["images_in"]

EXTENSIONS = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".avif", ".jp2")


def images_in(folder: Path) -> tuple[list[Path], list[Path]]:
    """The images in a folder and its subfolders, and the other files.

    A file that is called like an image is one, even if it turns out to be broken; any other is one where Pillow finds
    a format that it decodes. Hidden files, such as thumbnails and macOS's "._" files, are neither.

    Args:
        folder: The folder.

    Returns:
        The images and the other files, each in the order of their names.
    """
    images: list[Path] = []
    others: list[Path] = []
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts):
            is_image = path.suffix.lower() in EXTENSIONS or _is_known(path)
            (images if is_image else others).append(path)
    return images, others


def _is_known(path: Path) -> bool:
    """Whether Pillow finds a format in a file; nothing is decoded."""
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path):
                return True
    except Exception:  # of a file that is no image, a decoder may raise nearly anything
        return False
