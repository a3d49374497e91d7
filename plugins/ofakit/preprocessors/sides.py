"""Queries and passages become what the encoder of their side reads."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from ofakit.data.decoding import BadImage, load_square
from ofakit.data.passage import Passage
from ofakit.data.query import Query
from ofakit.errors import OfakitError, UsageError
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
        self,
        item: Query | Passage,
        pixels: Callable[[str], np.ndarray] | None = None,
        rng: np.random.Generator | None = None,
    ) -> dict[str, Any]:
        """What is read of one item.

        Args:
            item: A query or a passage.
            pixels: Gives images by path, decoded already, (S, S, 3) uint8; None decodes them here.
            rng: Cuts and mirrors at random; None does neither.

        Returns:
            `input_ids` (T,) int64 where the encoder reads texts; `image` (3, H, W) uint8, zeros for none, and
            `image_mask` () bool where it reads images, with `other_images` (k, 3, H, W) uint8 if there are some and it
            reads them; in place of images what `RegionInputs.sample` gives of them all where it reads regions.

        Raises:
            BadImage: The image is missing or cannot be read.
        """
        return self.samples([item], pixels, rng)[0]

    def samples(
        self,
        items: Sequence[Query | Passage],
        pixels: Callable[[str], np.ndarray] | None = None,
        rng: np.random.Generator | None = None,
    ) -> list[dict[str, Any]]:
        """As `sample`, of several items, whose texts are encoded together and whose regions are made together.

        Args:
            items: Queries or passages.
            pixels: As for `sample`.
            rng: Cuts at random; None cuts the centre.
        """
        found = self.samples_or_errors(items, pixels, rng)
        if (error := next((own for own in found if isinstance(own, BadImage)), None)) is not None:
            raise error
        return [own for own in found if not isinstance(own, BadImage)]

    def samples_or_errors(
        self,
        items: Sequence[Query | Passage],
        pixels: Callable[[str], np.ndarray] | None = None,
        rng: np.random.Generator | None = None,
    ) -> list[dict[str, Any] | BadImage]:
        """As `samples`, with the error in place of an item whose image is missing or cannot be read.

        Args:
            items: Queries or passages.
            pixels: As for `sample`.
            rng: As for `samples`.
        """
        found: list[dict[str, Any]] = [{} for _ in items]
        if self.reading.texts is not None:
            ids = self.reading.texts.encode([self.text(item) for item in items])
            found = [{"input_ids": torch.tensor(row, dtype=torch.int64)} for row in ids]
        if self.regions is not None:
            regions = self.regions.samples([_images_of(item) for item in items])
            return [_with_regions(sample, own) for sample, own in zip(found, regions, strict=True)]
        if self.reading.image_size is None:
            return [*found]
        return [self._with_image(sample, item, pixels, rng) for sample, item in zip(found, items, strict=True)]

    def collate(self, samples: Sequence[Mapping[str, Any]]) -> dict[str, Tensor]:
        """Join samples.

        Args:
            samples: At least one.

        Returns:
            `input_ids` and `attention_mask` (n, T) int64, padded on the right; `images` (n, 3, H, W) uint8 and
            `image_mask` (n,) bool; where an item has several images, `images` (M, 3, H, W), those of all items one
            after another, and `image_index` (n, K) int64, which of them are each item's, -1 where there are fewer than
            K; for regions what `RegionInputs.collate` gives.
        """
        batch: dict[str, Tensor] = {}
        if "input_ids" in samples[0]:
            rows, pad = [sample["input_ids"] for sample in samples], self.reading.texts.pad_token_id  # type: ignore[union-attr]
            batch["input_ids"] = pad_sequence(rows, batch_first=True, padding_value=pad)
            batch["attention_mask"] = pad_sequence([torch.ones_like(row) for row in rows], batch_first=True)
        if "image" in samples[0]:
            batch |= _joined_images(samples)
        if "vis_feats" in samples[0]:
            batch |= collate_regions(samples)
        if "image_mask" in samples[0]:
            batch["image_mask"] = torch.stack([sample["image_mask"] for sample in samples])
        return batch

    def _with_image(
        self,
        sample: Mapping[str, Any],
        item: Query | Passage,
        pixels: Callable[[str], np.ndarray] | None,
        rng: np.random.Generator | None,
    ) -> dict[str, Any] | BadImage:
        """A sample with the image of its item, or with all its images where the encoder sees several."""
        size = self.reading.image_size or 0
        shown = _images_of(item) if self.reading.several_images else (item.image,)
        try:
            images = [self._square(image, pixels, rng) for image in shown if image is not None]
        except BadImage as error:
            return error
        if not images:
            blank = torch.zeros(3, size, size, dtype=torch.uint8)
            return {**sample, "image": blank, "image_mask": torch.tensor(False)}
        others = {"other_images": torch.stack(images[1:])} if len(images) > 1 else {}
        return {**sample, "image": images[0], "image_mask": torch.tensor(True), **others}

    def _square(
        self, image: Any, pixels: Callable[[str], np.ndarray] | None, rng: np.random.Generator | None
    ) -> Tensor:
        """An image of the encoder's size, (3, H, W)."""
        size = self.reading.image_size or 0
        before = size if rng is None or self.crop_from is None else max(size, self.crop_from)
        found = image if pixels is None or not isinstance(image, str | Path) else pixels(str(image))
        if found is image or found.shape[0] != before:
            found = load_square(found, before)
        return crop_and_flip(found, size, rng, self.horizontal_flip)


def _with_regions(sample: Mapping[str, Any], regions: dict[str, Tensor] | OfakitError) -> dict[str, Any] | BadImage:
    """A sample with the regions of its images."""
    if isinstance(regions, BadImage):
        return regions
    if isinstance(regions, OfakitError):
        raise regions
    return {**sample, **regions, "image_mask": torch.tensor(len(regions["vis_feats"]) > 0)}


def _images_of(item: Query | Passage) -> Sequence[Any]:
    """All images of an item; None is none."""
    return item.images if isinstance(item, Query) else (item.image,)


def _joined_images(samples: Sequence[Mapping[str, Any]]) -> dict[str, Tensor]:
    """The images of a batch; where a sample has several, also which of them are whose."""
    if not any("other_images" in sample for sample in samples):
        return {"images": torch.stack([sample["image"] for sample in samples])}
    own = [_all_images(sample) for sample in samples]
    counts = [len(images) for images in own]
    places = torch.arange(sum(counts)).split(counts)
    return {"images": torch.cat(own), "image_index": pad_sequence(places, batch_first=True, padding_value=-1)}


def _all_images(sample: Mapping[str, Any]) -> Tensor:
    """Those of one sample, (k, 3, H, W); k is 0 where it has none."""
    first = sample["image"][None][: int(sample["image_mask"])]
    return torch.cat([first, sample["other_images"]]) if "other_images" in sample else first
