"""FlickrStyle10K as it is distributed: a text file of captions per style, and a pickle that names their images.

    {"type": "flickrstyle_released", "root": "FlickrStyle_v0.9", "images": "../flickr8k/images"}

Line k of `humor/funny_train.txt` is the caption of the k-th name in `humor/train.p`, such as `data/dog.jpg`. The texts
are of Windows (cp1252) where they are not UTF-8. Only the training captions were given out. Pickles are read as plain
data; one that holds more is refused.

Source: Gan et al., StyleNet: Generating Attractive Visual Captions with Styles, CVPR 2017.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ofakit.data.example import Example
from ofakit.data.json_files import require_file
from ofakit.data.plain_pickle import read_plain_pickle
from ofakit.data.readers._splits import FileReader
from ofakit.errors import UsageError

__all__ = ["FlickrStyleReleased"]

STYLES: Mapping[str, Sequence[str]] = {
    "humorous": ("humor/funny_train.txt", "humor/train.p"),
    "romantic": ("romantic/romantic_train.txt", "romantic/train.p"),
}


class FlickrStyleReleased(FileReader):
    """Read FlickrStyle10K; a row is an image with its captions by style. There is one split, `train`.

    Args:
        root: Folder of the data set; the other paths are relative to it.
        images: Folder of the images.
        styles: The file of captions and the file of names of each style; None for those that were given out.
    """

    def __init__(
        self,
        root: str | Path | None = None,
        images: str | Path = "images",
        styles: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        self.styles = dict(styles or STYLES)
        super().__init__(root, {"train": next(iter(self.styles.values()))[0]}, images)

    def rows(self, split: str) -> list[dict[str, Any]]:
        """One row per image: {"image", "captions": {style: […]}}.

        Args:
            split: The split.

        Raises:
            UsageError: A file is missing, a pickle holds anything but a list of names, or there are not as many names
                as lines.
        """
        found: dict[str, dict[str, list[str]]] = {}
        for style, (texts, names) in self.styles.items():
            captions = _lines(self.root / texts, f"captions in the style {style!r}")
            images = read_plain_pickle(self.root / names, f"the images of the style {style!r}")
            if not (isinstance(images, list) and all(isinstance(name, str) for name in images)):
                raise UsageError(f"expected a list of names in {self.root / names}, found {str(images)[:60]!r}")
            if len(images) != len(captions):
                raise UsageError(
                    f"expected as many captions in {self.root / texts} as names in {self.root / names}, found "
                    f"{len(captions)} and {len(images)}"
                )
            for name, caption in zip(images, captions, strict=True):
                image = name.replace("\\", "/").rpartition("/")[2]
                found.setdefault(image, {}).setdefault(style, []).append(caption)
        return [{"image": image, "captions": said} for image, said in found.items()]

    def examples(self, row: Mapping[str, Any], split: str) -> list[Example]:
        """One example per style.

        Args:
            row: One of `rows`.
            split: The split it comes from.
        """
        name = row["image"]
        return [
            Example(f"{name}#{style}", self.image(name), None, tuple(captions), style)
            for style, captions in row["captions"].items()
        ]


def _lines(path: Path, what: str) -> list[str]:
    """The lines of a text in UTF-8 or else in the encoding of Windows; only the last may be empty."""
    content = require_file(path, what).read_bytes()
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("cp1252", errors="replace")
    lines = [line.strip() for line in text.replace("\r\n", "\n").split("\n")]
    return lines[:-1] if lines and not lines[-1] else lines
