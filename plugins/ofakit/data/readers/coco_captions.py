"""COCO captions, from the official annotation files or from Karpathy's split.

    {"type": "coco_captions", "root": "coco"}
    {"type": "coco_captions", "root": "coco", "karpathy": "dataset_coco.json", "images": "."}
    {"type": "coco_captions", "root": "flickr8k", "karpathy": "dataset_flickr8k.json", "images": "images"}

Official: {"images": [{"id", "file_name"}], "annotations": [{"image_id", "caption"}]}, one file per split.
Karpathy: {"images": [{"filename", "filepath", "split", "sentences": [{"raw"}]}]}, one file for all splits; COCO's has a
split `restval`, so that the usual training set is `train+restval`, and those of Flickr8k and Flickr30k have no folders.

A caption with a `style`, or with SentiCap's `sentiment`, keeps it: captions of an image in two styles are two examples.
An image's `domain`, as nocaps has it, or its `group` becomes the group that its example is also scored by.

Sources: Chen et al., Microsoft COCO Captions, 2015; Karpathy and Fei-Fei, Deep Visual-Semantic Alignments, CVPR 2015.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ofakit.data.example import Example
from ofakit.data.json_files import captions_in, id_in, read_json, require, require_text, style_in, text_in
from ofakit.data.readers._splits import FileReader
from ofakit.data.style_names import SENTIMENTS
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
        style: The style of every caption that names none.
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
        self.karpathy = self.root / karpathy if karpathy else None
        self._of_split: dict[str, list[dict[str, Any]]] | None = None

    def splits(self) -> list[str]:
        """The splits that have a file, or those that Karpathy's file has where it is there."""
        if self.karpathy is None or not self.karpathy.is_file():
            return super().splits()
        found = self._karpathy_rows()
        return [split for split in KARPATHY_SPLITS if split in found] + sorted(set(found) - set(KARPATHY_SPLITS))

    def rows(self, split: str) -> list[dict[str, Any]]:
        """One row per image: {"image", "captions", "styles", "group"}.

        Args:
            split: The split.

        Raises:
            UsageError: The file is missing or in another format.
        """
        if self.karpathy is not None:
            return self._karpathy_rows().get(split, [])
        path = str(self.files[split])
        content = read_json(self.files[split], f"COCO annotations of split {split!r}")
        images = list(_objects(content, "images", path))
        if any("sentences" in row for row, _ in images):
            return [_karpathy_row(row, where) for row, where in images if row.get("split") == split]
        said: dict[str | None, list[tuple[Any, str | None]]] = {}
        for row, where in _objects(content, "annotations", path):
            image = id_in(require(row, "image_id", where), where)
            said.setdefault(image, []).append((require(row, "caption", where), _style(row, where)))
        return [
            _row(
                require_text(row, "file_name", "a file name", where),
                said.get(id_in(require(row, "id", where), where), []),
                row,
                where,
            )
            for row, where in images
        ]

    def _karpathy_rows(self) -> dict[str, list[dict[str, Any]]]:
        """The rows of every split that Karpathy's file has; it is read once."""
        if self._of_split is None and self.karpathy is not None:
            content = read_json(self.karpathy, "Karpathy's split of COCO captions")
            found: dict[str, list[dict[str, Any]]] = {}
            for row, where in _objects(content, "images", str(self.karpathy)):
                split = require_text(row, "split", "the name of a split", where)
                found.setdefault(split, []).append(_karpathy_row(row, where))
            self._of_split = found
            self.files = {split: self.karpathy for split in found}
        return self._of_split or {}

    def examples(self, row: Mapping[str, Any], split: str) -> list[Example]:
        """The examples of an image: one per style that its captions have.

        Args:
            row: One of `rows`.
            split: The split it comes from.
        """
        folder = self.folders.get(split, ".") if isinstance(self.folders, Mapping) else "."
        captions = captions_in(row["captions"], str(self.files[split]))
        said: dict[str | None, list[str]] = {} if captions else {self.style: []}
        for caption, style in zip(captions, row["styles"], strict=True):
            said.setdefault(style or self.style, []).append(caption)
        name, image = row["image"], self.image(str(Path(folder, row["image"])))
        return [
            Example(name if len(said) == 1 else f"{name}#{style}", image, None, tuple(texts), style, row["group"])
            for style, texts in said.items()
        ]


def _row(image: str, said: list[tuple[Any, str | None]], row: Mapping[str, Any], where: str) -> dict[str, Any]:
    group = text_in(row.get("group", row.get("domain")), "a group", where)
    return {"image": image, "captions": [text for text, _ in said], "styles": [s for _, s in said], "group": group}


def _karpathy_row(row: Mapping[str, Any], where: str) -> dict[str, Any]:
    folder = text_in(row.get("filepath"), "a folder", f"{where}, column 'filepath'")
    name = Path(folder or "", require_text(row, "filename", "a file name", where))
    said = [(require(it, "raw", place), _style(it, place)) for it, place in _objects(row, "sentences", where)]
    return _row(str(name), said, row, where)


def _style(row: Mapping[str, Any], where: str) -> str | None:
    """The style of a caption, in words or as SentiCap's number."""
    if "sentiment" not in row:
        return style_in(row.get("style"), f"{where}, column 'style'")
    if row["sentiment"] not in SENTIMENTS:
        raise UsageError(f"expected 1 or 0 in {where}, column 'sentiment', found {row['sentiment']!r}")
    return SENTIMENTS[row["sentiment"]]


def _objects(parent: Mapping[str, Any], column: str, where: str) -> Iterator[tuple[Mapping[str, Any], str]]:
    """The JSON objects of a list, and where each stands."""
    items = require(parent, column, where)
    if not isinstance(items, list):
        raise UsageError(f"expected a list in {where}, column {column!r}, found {str(items)[:60]!r}")
    for number, item in enumerate(items):
        if not isinstance(item, Mapping):
            raise UsageError(f"expected a JSON object in {where}, {column}[{number}], found {str(item)[:60]!r}")
        yield item, f"{where}, {column}[{number}]"
