"""Any data set of captions as a knowledge base: images are asked for by their captions, or captions by their image.

    {"type": "image_text", "root": "shared/data", "direction": "text_to_image",
     "reader": {"type": "jsonl", "test": "flickr8k/captions_test.jsonl", "images": "flickr8k/images"}}

`text_to_image`: each caption is a question and each image a passage. `image_to_text`: each image is a question and each
caption a passage, and all captions of an image are relevant to it. An image has the id of its first example, such as
`dog.jpg`, and its captions are `dog.jpg#0` and so on. The images of a split compete with those of that split only, and
so do its captions: `passages(split)`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from ofakit.data.example import Example
from ofakit.data.expansion import is_empty
from ofakit.data.passage import Passage
from ofakit.data.query import Query
from ofakit.data.readers import READERS
from ofakit.data.readers._relevant import report_unanswerable

__all__ = ["ImageText"]

logger = logging.getLogger(__name__)


class ImageText:
    """Read captions as questions or as passages. Empty captions are neither.

    Args:
        reader: The configuration of a reader of captions.
        direction: `text_to_image` asks for images, `image_to_text` for captions.
        root: Folder of the data set; `reader` may name one of its own.

    Raises:
        UsageError: The configuration of the reader is wrong.
    """

    passages_by_split = True

    def __init__(
        self,
        reader: Mapping[str, Any],
        direction: Literal["text_to_image", "image_to_text"] = "text_to_image",
        root: str | Path | None = None,
    ) -> None:
        self.reader = READERS.build({"root": root, **reader})
        self.asks_for_images = direction == "text_to_image"

    def splits(self) -> list[str]:
        """The splits of the reader."""
        return self.reader.splits()

    def read(self, split: str) -> list[Query]:
        """Read the questions of a split or of slices of splits.

        Args:
            split: Such as `train` or `train[:10%]+val`; slices are those of the reader of captions.

        Returns:
            One question per caption, or one per image. An image without a caption is kept, without anything relevant.

        Raises:
            UsageError: The split is unknown, or a file is wrong.
        """
        examples = self._images(split)
        if self.asks_for_images:
            return [Query(own, text, relevant={e.id: 1.0}) for e in examples for own, text in _captions(e)]
        queries = [Query(e.id, image=e.image, relevant={own: 1.0 for own, _ in _captions(e)}) for e in examples]
        report_unanswerable(queries, split, logger)
        return queries

    def passages(self, split: str | None = None) -> Iterator[Passage]:
        """Read the passages that the questions of a split are asked of.

        Args:
            split: As for `read`; None for those of all splits.

        Yields:
            The images, or the captions, in the order of the files.

        Raises:
            UsageError: The split is unknown, or a file is wrong.
        """
        for example in self._images("+".join(self.splits()) if split is None else split):
            if self.asks_for_images:
                yield Passage(example.id, image=example.image)
            else:
                yield from (Passage(own, text, article=example.id) for own, text in _captions(example))

    def _images(self, split: str) -> list[Example]:
        """One example per image, with its captions in every style, called after the first."""
        joined: dict[str, Example] = {}
        for example in self.reader.read(split):
            if example.image is not None:
                first = joined.get(example.image_key, replace(example, style=None, references=()))
                joined[example.image_key] = replace(first, references=first.references + example.references)
        return list(joined.values())


def _captions(example: Example) -> list[tuple[str, str]]:
    """Id and text of each caption that says something."""
    return [(f"{example.id}#{k}", text) for k, text in enumerate(example.references) if not is_empty(text)]
