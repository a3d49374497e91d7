"""Flickr8k and Flickr30k as they are distributed: a file of captions by image, and a list of images per split.

    {"type": "flickr8k", "root": "flickr8k"}
    {"type": "flickr8k", "root": "flickr30k", "captions": "results_20130124.token", "images": "flickr30k-images",
     "train": "train.txt", "val": "val.txt", "test": "test.txt"}

A line of the captions is `dog.jpg#0`, a tab, and the caption; a line of a list is `dog.jpg`.

Sources: Hodosh et al., Framing Image Description as a Ranking Task, JAIR 2013; Young et al., From Image Descriptions to
Visual Denotations, TACL 2014.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ofakit.data.example import Example
from ofakit.data.json_files import require_file
from ofakit.data.readers._splits import FileReader
from ofakit.errors import UsageError

__all__ = ["Flickr8k"]


class Flickr8k(FileReader):
    """Read Flickr8k; a row is an image with its captions.

    Args:
        root: Folder of the data set; the other paths are relative to it.
        train: List of the training split; without a list of any split, every image is in `train`.
        val: List of the validation split.
        test: List of the test split.
        captions: The captions of all splits.
        images: Folder of the images.
        style: The style of every caption.
    """

    def __init__(
        self,
        root: str | Path | None = None,
        train: str | None = "Flickr_8k.trainImages.txt",
        val: str | None = "Flickr_8k.devImages.txt",
        test: str | None = "Flickr_8k.testImages.txt",
        captions: str = "Flickr8k.token.txt",
        images: str | Path = "Flicker8k_Dataset",
        style: str | None = None,
    ) -> None:
        lists = {"train": train, "val": val, "test": test}
        super().__init__(root, lists if any(lists.values()) else {"train": captions}, images)
        self.captions = self.root / captions
        self.style = style
        self._said: dict[str, list[str]] | None = None

    def rows(self, split: str) -> list[dict[str, Any]]:
        """One row per image: {"image", "captions"}.

        Args:
            split: The split.

        Raises:
            UsageError: A file is missing or no UTF-8, a line is of another form, or an image has no captions.
        """
        said = self._captions()
        if self.files[split] == self.captions:
            return [{"image": name, "captions": texts} for name, texts in said.items()]
        names = dict.fromkeys(_lines(self.files[split], f"the images of split {split!r}"))
        without = [name for name in names if name not in said]
        if without:
            raise UsageError(
                f"{self.files[split]} lists {len(without)} images without captions in {self.captions}, such as "
                f"{without[0]!r}"
            )
        return [{"image": name, "captions": said[name]} for name in names]

    def examples(self, row: Mapping[str, Any], split: str) -> list[Example]:
        """The one example of an image.

        Args:
            row: One of `rows`.
            split: The split it comes from.
        """
        return [Example(row["image"], self.image(row["image"]), None, tuple(row["captions"]), self.style)]

    def _captions(self) -> dict[str, list[str]]:
        """The captions of every image; the file is read once."""
        if self._said is None:
            said: dict[str, list[str]] = {}
            for number, line in enumerate(_lines(self.captions, "captions of Flickr8k"), start=1):
                name, tab, caption = line.partition("\t")
                image, sign, _ = name.rpartition("#")
                if not (tab and sign):
                    raise UsageError(
                        f"expected IMAGE#NUMBER, a tab and a caption in {self.captions}, line {number}, found "
                        f"{line[:60]!r}; for a file with commas, use the reader 'csv'"
                    )
                said.setdefault(image, []).append(caption.strip())
            self._said = said
        return self._said


def _lines(path: Path, what: str) -> list[str]:
    """The lines of a text that say something."""
    try:
        text = require_file(path, what).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"expected {what} as UTF-8 text in {path}, found: {error}") from error
    return [line.strip() for line in text.split("\n") if line.strip()]
