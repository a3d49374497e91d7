"""What a knowledge base is asked: a text, an image, or both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

__all__ = ["Query"]


@dataclass(frozen=True)
class Query:
    """A question, with what is known to answer it.

    Attributes:
        id: Names the query; unique within a split.
        text: The question, or None for an image alone.
        image: A path, a PIL image, the bytes of an encoded image, (H, W) or (H, W, 3 or 4) uint8, or None.
        relevant: Gain by passage id, as in a TREC qrels file; a gain of 0 or less is judged irrelevant. Empty where
            nothing is known.
        answers: Texts any of which answers the question; for relevance by answer, and for reading.
        other_images: Further images beside `image`, for encoders that read several; others see `image` alone.

    >>> Query("q1", "What is the capital?", relevant={"FR-02": 1.0, "FR-00": 0.0}).relevant_ids
    ('FR-02',)
    """

    id: str
    text: str | None = None
    image: str | Path | Image.Image | bytes | np.ndarray | None = None
    relevant: Mapping[str, float] = field(default_factory=dict)
    answers: tuple[str, ...] = ()
    other_images: tuple[str | Path | Image.Image | bytes | np.ndarray, ...] = ()

    @property
    def images(self) -> tuple[str | Path | Image.Image | bytes | np.ndarray, ...]:
        """All its images, `image` first."""
        return self.other_images if self.image is None else (self.image, *self.other_images)

    @property
    def relevant_ids(self) -> tuple[str, ...]:
        """The passages with a gain above 0, in their order."""
        return tuple(passage for passage, gain in self.relevant.items() if gain > 0)

    @property
    def image_path(self) -> str | None:
        """The image's path; None if it is in memory, or there is none."""
        return str(self.image) if isinstance(self.image, str | Path) else None
