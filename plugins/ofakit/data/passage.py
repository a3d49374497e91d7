"""What is searched for: passages, each of an article."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

__all__ = ["Passage"]


@dataclass(frozen=True)
class Passage:
    """A piece of an article: its text, its image, or both.

    Attributes:
        id: Names the passage; unique within a knowledge base.
        text: The text without the title, or None for an image alone.
        title: The article's title, or None.
        image: A path, a PIL image, the bytes of an encoded image, (H, W) or (H, W, 3 or 4) uint8, or None. Passages of
            one article usually share the article's.
        article: The id of its article; None where a passage stands for itself.

    >>> Passage("DZ-00", "Arab and Amazigh dynasties .", title="Algeria").titled()
    'Algeria Arab and Amazigh dynasties .'
    """

    id: str
    text: str | None = None
    title: str | None = None
    image: str | Path | Image.Image | bytes | np.ndarray | None = None
    article: str | None = None

    @property
    def article_id(self) -> str:
        """The id of its article, or its own where it stands for itself."""
        return self.id if self.article is None else self.article

    @property
    def image_path(self) -> str | None:
        """The image's path; None if it is in memory, or there is none."""
        return str(self.image) if isinstance(self.image, str | Path) else None

    def titled(self, separator: str | None = " ") -> str:
        """The text with the title in front.

        Args:
            separator: What stands between; None leaves the title out.
        """
        parts = [self.text] if separator is None else [self.title, self.text]
        return (separator or "").join(part for part in parts if part)
