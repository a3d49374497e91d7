"""What readers return: an image, its style and what was written about it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from ofakit.data.image_keys import image_key
from ofakit.data.region_texts import RegionText
from ofakit.data.style_names import same_style

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

    from ofakit.data.image_store import ImageStore

__all__ = ["Example"]


@dataclass(frozen=True)
class Example:
    """An image, a style, and the captions in that style.

    Readers give one per (image, style), with every reference and no text; `expand` makes one per reference, with
    `text` set, for training.

    Attributes:
        id: Names the example; unique within a split.
        image: A path, a PIL image, the bytes of an encoded image, (H, W) or (H, W, 3 or 4) uint8, or None for an
            example without an image.
        text: The caption to learn, or None.
        references: Every caption known for this image in this style.
        style: The style's name as the data spells it, or None.
        group: What its scores are also given by, such as a domain of nocaps, and what steps of a training with
            `train.dataloader.mixing` are told apart by; None for no group.
        region_texts: What is known about parts of the image.

    >>> Example("dog.jpg#humorous", "images/dog.jpg", references=("a dog on strike .",), style="humorous").style
    'humorous'
    """

    id: str
    image: str | Path | Image.Image | bytes | np.ndarray | None = None
    text: str | None = None
    references: tuple[str, ...] = ()
    style: str | None = None
    group: str | None = None
    region_texts: tuple[RegionText, ...] = ()

    @property
    def image_path(self) -> str | None:
        """The image's path; None if it is in memory, or there is none."""
        return str(self.image) if isinstance(self.image, str | Path) else None

    @property
    def image_paths(self) -> tuple[str, ...]:
        """The paths of all its images."""
        path = self.image_path
        return () if path is None else (path,)

    def pixels(self, store: ImageStore) -> np.ndarray | None:
        """Its image, decoded; None if it is in memory, or there is none.

        Args:
            store: Has every image of `image_paths`.
        """
        path = self.image_path
        return None if path is None else store[path]

    @cached_property
    def image_key(self) -> str:
        """What tells images apart, in memory too: the path, or a digest of what it holds; "" without an image."""
        return image_key(self.image)

    @property
    def style_key(self) -> str | None:
        """What the spellings of its style have in common; None without a style."""
        return same_style(self.style) if self.style else None
