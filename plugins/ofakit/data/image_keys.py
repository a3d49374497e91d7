"""What tells images apart, whether they lie in files or in memory."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["file_digest", "image_key", "images_by_name"]


def images_by_name(items: Iterable[Any]) -> dict[str, Any]:
    """The images of examples, queries or passages, each once.

    Args:
        items: Each with `images` or an `image`; None is none.

    Returns:
        The images by their `image_key`, in order of first appearance.

    >>> from ofakit.data.example import Example
    >>> images_by_name([Example("1", "b.jpg"), Example("2"), Example("3", "a.jpg"), Example("4", "b.jpg")])
    {'b.jpg': 'b.jpg', 'a.jpg': 'a.jpg'}
    """
    found: dict[str, Any] = {}
    for item in items:
        for image in getattr(item, "images", None) or (item.image,):
            if image is not None:
                found.setdefault(image_key(image), image)
    return found


def file_digest(image: object) -> str | None:
    """What the file of an image holds, in a few letters.

    Args:
        image: A path, or an image in memory.

    Returns:
        None for an image in memory, whose `image_key` says it, and where there is no file.
    """
    if not isinstance(image, str | Path):
        return None
    try:
        return hashlib.blake2b(Path(image).read_bytes(), digest_size=8).hexdigest()
    except (OSError, ValueError):  # a name with a null character is none
        return None


def image_key(image: str | Path | bytes | Image.Image | np.ndarray | None) -> str:
    """A name that two images share where they are the same.

    Rows of a data set in memory often hold one image several times, each decoded into an object of its own; what they
    hold is the same. A file is known by its path.

    Args:
        image: A path, the bytes of an encoded image, a PIL image, an array, or None.

    Returns:
        The path; a digest of the bytes or of the pixels with their shape; "" for None.

    >>> image_key("a.jpg"), image_key(b"one") == image_key(bytes(b"one")), image_key(b"one") == image_key(b"two")
    ('a.jpg', True, False)
    """
    if image is None or isinstance(image, str | Path):
        return str(image or "")
    if isinstance(image, bytes):
        return f"bytes {hashlib.blake2b(image, digest_size=16).hexdigest()}"
    try:
        pixels = np.ascontiguousarray(np.asarray(image))
    except Exception:  # a broken file can raise nearly anything inside a decoder; where it is used it is said
        return f"object {id(image)}"
    return f"pixels {pixels.shape} {hashlib.blake2b(pixels.tobytes(), digest_size=16).hexdigest()}"
