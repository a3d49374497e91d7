"""Queries and passages become what the encoder of their side reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from ofakit.data.decoding import load_square
from ofakit.data.passage import Passage
from ofakit.data.query import Query
from ofakit.errors import UsageError
from ofakit.models.reading import Reading
from ofakit.preprocessors.image import crop_and_flip
from ofakit.preprocessors.regions import NO_REGIONS, RegionInputs, collate_regions

__all__ = ["SideInputs"]


class SideInputs:
    """From the items of one side to tensors; picklable.

    Args:
        reading: What the side's encoder reads.
        prompt: What stands in front of every text.
        title_separator: What stands between a passage's title and its text; None leaves the title out.
        crop_from: Pixels a side that images have before a random cut; None cuts nothing off.
        horizontal_flip: Mirror every second image where cuts are random.
        regions: What reads images as regions, for an encoder of these.

    Raises:
        UsageError: The encoder reads regions, and nothing says where they are.
    """

    def __init__(
        self,
        reading: Reading,
        prompt: str = "",
        title_separator: str | None = " ",
        crop_from: int | None = None,
        horizontal_flip: bool = False,
        regions: RegionInputs | None = None,
    ) -> None:
        if reading.regions and regions is None:
            raise UsageError(NO_REGIONS)
        self.reading = reading
        self.regions = regions if reading.regions else None
        self.prompt = prompt
        self.title_separator = title_separator
        self.crop_from = crop_from
        self.horizontal_flip = horizontal_flip

    def text(self, item: Query | Passage) -> str:
        """What is read of an item; the empty text where it has none.

        Args:
            item: A query or a passage.
        """
        text = item.titled(self.title_separator) if isinstance(item, Passage) else item.text
        return self.prompt + text if text else ""

    def sample(
        self, item: Query | Passage, pixels: np.ndarray | None = None, rng: np.random.Generator | None = None
    ) -> dict[str, Any]:
        """What is read of one item.

        Args:
            item: A query or a passage.
            pixels: Its image, decoded already, (S, S, 3) uint8.
            rng: Cuts and mirrors at random; None does neither.

        Returns:
            `input_ids` (T,) int64 where the encoder reads texts; `image` (3, H, W) uint8, zeros for none, and
            `image_mask` () bool where it reads images; in place of `image` what `RegionInputs.sample` gives of all its
            images where it reads regions.

        Raises:
            BadImage: The image is missing or cannot be read.
        """
        return self.samples([item], [pixels], rng)[0]

    def samples(
        self,
        items: Sequence[Query | Passage],
        pixels: Sequence[np.ndarray | None] | None = None,
        rng: np.random.Generator | None = None,
    ) -> list[dict[str, Any]]:
        """As `sample`, of several items, whose texts are encoded together.

        Args:
            items: Queries or passages.
            pixels: Of each.
            rng: Cuts at random; None cuts the centre.
        """
        found: list[dict[str, Any]] = [{} for _ in items]
        if self.reading.texts is not None:
            ids = self.reading.texts.encode([self.text(item) for item in items])
            for sample, row in zip(found, ids, strict=True):
                sample["input_ids"] = torch.tensor(row, dtype=torch.int64)
        if self.reading.image_size is not None:
            for sample, item, own in zip(found, items, pixels or [None] * len(items), strict=True):
                sample |= self._image(item, own, rng)
        if self.regions is not None:
            for sample, item in zip(found, items, strict=True):
                images = item.images if isinstance(item, Query) else (item.image,)
                sample |= self.regions.sample(images)
                sample["image_mask"] = torch.tensor(len(sample["vis_feats"]) > 0)
        return found

    def collate(self, samples: Sequence[Mapping[str, Any]]) -> dict[str, Tensor]:
        """Join samples.

        Args:
            samples: At least one.

        Returns:
            `input_ids` and `attention_mask` (n, T) int64, padded on the right; `images` (n, 3, H, W) uint8 and
            `image_mask` (n,) bool; for regions what `RegionInputs.collate` gives.
        """
        batch: dict[str, Tensor] = {}
        if "input_ids" in samples[0]:
            rows, pad = [sample["input_ids"] for sample in samples], self.reading.texts.pad_token_id  # type: ignore[union-attr]
            batch["input_ids"] = pad_sequence(rows, batch_first=True, padding_value=pad)
            batch["attention_mask"] = pad_sequence([torch.ones_like(row) for row in rows], batch_first=True)
        if "image" in samples[0]:
            batch["images"] = torch.stack([sample["image"] for sample in samples])
        if "vis_feats" in samples[0]:
            batch |= collate_regions(samples)
        if "image_mask" in samples[0]:
            batch["image_mask"] = torch.stack([sample["image_mask"] for sample in samples])
        return batch

    def _image(
        self, item: Query | Passage, pixels: np.ndarray | None, rng: np.random.Generator | None
    ) -> dict[str, Tensor]:
        size = self.reading.image_size or 0
        if item.image is None:
            return {"image": torch.zeros(3, size, size, dtype=torch.uint8), "image_mask": torch.tensor(False)}
        before = size if rng is None or self.crop_from is None else max(size, self.crop_from)
        if pixels is None or pixels.shape[0] != before:
            pixels = load_square(item.image if pixels is None else pixels, before)
        return {"image": crop_and_flip(pixels, size, rng, self.horizontal_flip), "image_mask": torch.tensor(True)}
