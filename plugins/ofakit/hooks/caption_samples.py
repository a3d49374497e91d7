"""A few captions of the last evaluation with thumbnails of their images, for loggers that show images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ofakit.data.decoding import BadImage, load_rgb
from ofakit.json_text import from_json
from ofakit.reports.gallery import spread

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["CaptionSample", "caption_samples"]

SIDE = 224
"""Pixels of the longer side."""


class CaptionSample(NamedTuple):
    """What a model wrote about an image.

    Attributes:
        image: The image, upright, no side longer than 224 pixels.
        text: A line a style: the style in brackets, where one was asked for, and the caption.
    """

    image: Image
    text: str


def caption_samples(predictions: Path, most: int) -> list[CaptionSample]:
    """Images spread evenly over an evaluation, so the same ones after each, with what was written about them.

    Args:
        predictions: `eval/<split>.predictions.jsonl` of a run.
        most: How many images at most.

    Returns:
        None of the images that are missing, broken or were in memory only; nothing for a task without captions.
    """
    if most < 1:
        return []
    captions: dict[str, list[str]] = {}
    for line in predictions.read_bytes().splitlines():
        row: dict[str, Any] = from_json(line)
        if row.get("image") and "caption" in row:
            style = f"[{row['style']}] " if row.get("style") else ""
            captions.setdefault(row["image"], []).append(style + row["caption"])
    images = list(captions)
    samples = []
    for place in spread(len(images), most):
        try:
            image = load_rgb(images[place], 2 * SIDE)
        except BadImage:
            continue
        image.thumbnail((SIDE, SIDE))
        samples.append(CaptionSample(image, "\n".join(captions[images[place]])))
    return samples
