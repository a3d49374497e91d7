"""SentiCap as it is distributed: positive and negative captions of COCO images, in a file like Karpathy's.

    {"type": "senticap", "root": "senticap", "images": "val2014"}

Each sentence has `sentiment`, 1 or 0, which becomes the style `positive` or `negative`.

Source: Mathews et al., SentiCap: Generating Image Descriptions with Sentiments, AAAI 2016.
"""

from __future__ import annotations

from pathlib import Path

from ofakit.data.readers.coco_captions import CocoCaptions

__all__ = ["SentiCap"]


class SentiCap(CocoCaptions):
    """Read SentiCap; a row is an image with its captions.

    Args:
        root: Folder of the data set; the other paths are relative to it.
        file: The file of all splits.
        images: Folder of the images.
    """

    def __init__(self, root: str | Path | None = None, file: str = "data.json", images: str = ".") -> None:
        super().__init__(root, images=images, karpathy=file)
