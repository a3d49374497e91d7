"""COCO captions, from the official annotation files or from Karpathy's split.

    {"type": "coco_captions", "root": "coco"}
    {"type": "coco_captions", "root": "coco", "karpathy": "dataset_coco.json", "images": "."}

Official: {"images": [{"id", "file_name"}], "annotations": [{"image_id", "caption"}]}, one file a split.
Karpathy: {"images": [{"filename", "filepath", "split", "sentences": [{"raw"}]}]}, one file for all splits; `restval`
is its own split there, so the usual training set is `train+restval`.

Sources: Chen et al., Microsoft COCO Captions, 2015; Karpathy and Fei-Fei, Deep Visual-Semantic Alignments, CVPR 2015.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ofakit.data.example import Example
from ofakit.data.files import captions_in, read_json, require
from ofakit.data.readers._files import FileReader

__all__ = ["CocoCaptions"]

KARPATHY_SPLITS = ("train", "restval", "val", "test")


class CocoCaptions(FileReader):
    """Read COCO captions; a row is a picture with its captions.

    Args:
        root: Folder of the data set; the other paths are relative to it.
        train: Annotations of the training split.
        val: Annotations of the validation split.
        test: Annotations of the test split.
        images: Folder of the pictures, or one a split; None is train2017 and val2017 as COCO is given out.
        karpathy: Karpathy's file; it replaces `train`, `val` and `test`.
        style: The style of every caption.
        splits: Annotations of further splits by name.
    """

    def __init__(
        self,
        root: str | Path | None = None,
        train: str | None = "annotations/captions_train2017.json",
        val: str | None = "annotations/captions_val2017.json",
        test: str | None = None,
        images: str | Mapping[str, str] | None = None,
        karpathy: str | None = None,
        style: str | None = None,
        splits: Mapping[str, str] | None = None,
    ) -> None:
        files: dict[str, str | None] = {"train": train, "val": val, "test": test, **(splits or {})}
        if karpathy:
            files = dict.fromkeys(KARPATHY_SPLITS, karpathy)
        super().__init__(root, files, images if isinstance(images, str) else ".")
        self.folders = {"train": "train2017", "val": "val2017"} if images is None and not karpathy else images
        self.style = style

    def rows(self, split: str) -> list[dict[str, Any]]:
        """One row a picture: {"image", "captions"}.

        Args:
            split: The split.

        Raises:
            UsageError: The file is missing or of another format.
        """
        path = self.files[split]
        content = read_json(path, f"COCO annotations of split {split!r}")
        pictures = require(content, "images", str(path))
        if pictures and "sentences" in pictures[0]:
            return [_karpathy_row(row, str(path)) for row in pictures if row.get("split") == split]
        captions: dict[Any, list[Any]] = {require(row, "id", str(path)): [] for row in pictures}
        for annotation in require(content, "annotations", str(path)):
            captions.setdefault(annotation["image_id"], []).append(require(annotation, "caption", str(path)))
        return [{"image": require(row, "file_name", str(path)), "captions": captions[row["id"]]} for row in pictures]

    def examples(self, row: Mapping[str, Any], split: str) -> list[Example]:
        """The one example of a picture.

        Args:
            row: One of `rows`.
            split: The split it comes from.
        """
        folder = self.folders.get(split, ".") if isinstance(self.folders, Mapping) else "."
        captions = captions_in(row["captions"], str(self.files[split]))
        return [Example(row["image"], str(self.images / folder / row["image"]), None, captions, self.style)]


def _karpathy_row(row: Mapping[str, Any], where: str) -> dict[str, Any]:
    name = Path(row.get("filepath", ""), require(row, "filename", where))
    return {"image": str(name), "captions": [require(sentence, "raw", where) for sentence in row["sentences"]]}
