"""What tells images apart, whether they lie in files or in memory."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["image_key"]


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
