"""Images as small JPEGs inside a page, upright and as the model saw them."""

from __future__ import annotations

import base64
import io
import os
from pathlib import Path
from typing import Any, NamedTuple

from ofakit.data.decoding import BadImage, load_rgb

__all__ = ["Picture", "picture"]

SIDE = 224
"""Pixels of the longer side; a page shows smaller images as they are."""


class Picture(NamedTuple):
    """An image for a page.

    Attributes:
        name: The file's name, without its folder; "" for an image in memory.
        source: A data URI of a JPEG; None if the image cannot be read.
        reason: Why it cannot; "" where it can or there is none.
    """

    name: str
    source: str | None
    reason: str = ""


def picture(image: Any, side: int = SIDE) -> Picture:
    """Make an image small.

    Args:
        image: A path, the image itself in any form that `data.decoding` reads, or None.
        side: Pixels of the longer side at most.

    >>> picture(None)
    Picture(name='', source=None, reason='')
    >>> picture("gone/cat.jpg")
    Picture(name='cat.jpg', source=None, reason='no such file')
    """
    is_path = isinstance(image, str | Path)
    name = Path(image).name if is_path else ""
    if image is None or (is_path and not str(image)):
        return Picture(name, None)
    if is_path and not os.path.isfile(image):  # a pipe or a device would never end
        return Picture(name, None, "no such file")
    try:
        small = load_rgb(image, 2 * side)
    except BadImage as error:
        return Picture(name, None, error.reason)
    small.thumbnail((side, side))
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=80)
    return Picture(name, f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}")
