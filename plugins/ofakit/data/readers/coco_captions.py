"""COCO captions, from the official annotation files or from Karpathy's split.

    {"type": "coco_captions", "root": "coco"}
    {"type": "coco_captions", "root": "coco", "karpathy": "dataset_coco.json", "images": "."}

Official: {"images": [{"id", "file_name"}], "annotations": [{"image_id", "caption"}]}, one file per split.
Karpathy: {"images": [{"filename", "filepath", "split", "sentences": [{"raw"}]}]}, one file for all splits; `restval`
is its own split there, so the usual training set is `train+restval`.

Sources: Chen et al., Microsoft COCO Captions, 2015; Karpathy and Fei-Fei, Deep Visual-Semantic Alignments, CVPR 2015.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ofakit.data.example import Example
from ofakit.data.json_files import captions_in, id_in, read_json, require, require_text, text_in
from ofakit.data.readers._splits import FileReader
from ofakit.errors import UsageError

__all__ = ["CocoCaptions"]

KARPATHY_SPLITS = ("train", "restval", "val", "test")


class CocoCaptions(FileReader):
    """Read COCO captions; a row is an image with its captions.

    Args:
        root: Folder of the data set; the other paths are relative to it.
        train: Annotations of the training split.
        val: Annotations of the validation split.
        test: Annotations of the test split.
        images: Folder of the images, or one per split; None means train2017 and val2017, as COCO is distributed.
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
        """One row per image: {"image", "captions"}.

        Args:
            split: The split.

        Raises:
            UsageError: The file is missing or in another format.
        """
        path = str(self.files[split])
        content = read_json(self.files[split], f"COCO annotations of split {split!r}")
        images = list(_objects(content, "images", path))
        if any("sentences" in row for row, _ in images):
            return [_karpathy_row(row, where) for row, where in images if row.get("split") == split]
        captions: dict[str | None, list[Any]] = {}
        for row, where in _objects(content, "annotations", path):
            image = id_in(require(row, "image_id", where), where)
            captions.setdefault(image, []).append(require(row, "caption", where))
        return [
            {
                "image": require_text(row, "file_name", "a file name", where),
                "captions": captions.get(id_in(require(row, "id", where), where), []),
            }
            for row, where in images
        ]

    def examples(self, row: Mapping[str, Any], split: str) -> list[Example]:
        """The one example of an image.

        Args:
            row: One of `rows`.
            split: The split it comes from.
        """
        folder = self.folders.get(split, ".") if isinstance(self.folders, Mapping) else "."
        captions = captions_in(row["captions"], str(self.files[split]))
        return [Example(row["image"], str(self.images / folder / row["image"]), None, captions, self.style)]


def _karpathy_row(row: Mapping[str, Any], where: str) -> dict[str, Any]:
    folder = text_in(row.get("filepath"), "a folder", f"{where}, column 'filepath'")
    name = Path(folder or "", require_text(row, "filename", "a file name", where))
    captions = [require(sentence, "raw", place) for sentence, place in _objects(row, "sentences", where)]
    return {"image": str(name), "captions": captions}


def _objects(parent: Mapping[str, Any], column: str, where: str) -> Iterator[tuple[Mapping[str, Any], str]]:
    """The JSON objects of a list, and where each stands."""
    items = require(parent, column, where)
    if not isinstance(items, list):
        raise UsageError(f"expected a list in {where}, column {column!r}, found {str(items)[:60]!r}")
    for number, item in enumerate(items):
        if not isinstance(item, Mapping):
            raise UsageError(f"expected a JSON object in {where}, {column}[{number}], found {str(item)[:60]!r}")
        yield item, f"{where}, {column}[{number}]"
