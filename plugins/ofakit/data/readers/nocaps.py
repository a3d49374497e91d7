"""nocaps: captions of images with things that COCO does not show, scored overall and by domain.

    {"type": "nocaps", "root": "nocaps", "images": "val"}

Annotations are COCO's; an image also has `domain`: in-domain, near-domain or out-domain, which becomes its group.

Source: Agrawal et al., nocaps: novel object captioning at scale, ICCV 2019.
"""

from __future__ import annotations

from pathlib import Path

from ofakit.data.readers.coco_captions import CocoCaptions

__all__ = ["Nocaps"]


class Nocaps(CocoCaptions):
    """Read nocaps; a row is an image with its captions.

    Args:
        root: Folder of the data set; the other paths are relative to it.
        val: Annotations of the validation split.
        test: Annotations of the test split, whose captions are not given out.
        images: Folder of the images.
    """

    def __init__(
        self,
        root: str | Path | None = None,
        val: str | None = "nocaps_val_4500_captions.json",
        test: str | None = None,
        images: str = "images",
    ) -> None:
        super().__init__(root, None, val, test, images)
