"""Tell whether a passage or query is what it was when it was encoded."""

from __future__ import annotations

import hashlib
import json
import os
from typing import Any

import numpy as np

from ofakit.data.passage import Passage
from ofakit.data.query import Query

__all__ = ["item_digest"]


def item_digest(item: Passage | Query) -> bytes:
    """Sixteen bytes that change with id, text, title and images; an image file counts by its path, length and time.

    Args:
        item: A passage or a query.

    >>> item_digest(Passage("a", "b")) == item_digest(Passage("a", "b")) != item_digest(Passage("a", None, title="b"))
    True
    """
    texts = [item.id, item.text, getattr(item, "title", None), _image_mark(item.image)]
    texts += [_image_mark(image) for image in getattr(item, "other_images", ())]
    return hashlib.blake2b(json.dumps(texts).encode(), digest_size=16).digest()


def _image_mark(image: Any) -> str | list[Any] | None:
    """What changes with an image."""
    if image is None:
        return None
    if isinstance(image, str | os.PathLike):
        try:
            found = os.stat(image)
        except OSError:
            return [str(image)]
        return [str(image), found.st_size, found.st_mtime_ns]
    data = image if isinstance(image, bytes) else np.ascontiguousarray(image).tobytes()
    return hashlib.blake2b(data, digest_size=16).hexdigest()
