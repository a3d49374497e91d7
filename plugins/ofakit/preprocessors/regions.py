"""Images become region features, for models that read the output of a detector or a frozen grid.

    inputs = RegionInputs(open_regions("train_obj36.h5"), max_regions=36)
    batch = inputs.collate([inputs.sample(["dog.jpg"]), inputs.sample(["left.jpg", "right.jpg"])])

Several images an example stand behind each other; `img_order_ids` says which image a region is of and `obj_order_ids`
which of its regions, as VL-T5 has them for NLVR.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from ofakit.data.bad_examples import BAD_IMAGE, BadExamples
from ofakit.data.decoding import BadImage
from ofakit.data.image_keys import image_key
from ofakit.data.regions import RegionSource
from ofakit.errors import UsageError

__all__ = ["NO_REGIONS", "REGION_TENSORS", "RegionInputs", "collate_regions", "with_regions"]

NO_REGIONS = (
    "the model reads images as region features, and data.regions is not set: set it to a file or store of regions, or "
    "to a network that computes them"
)
REGION_TENSORS = ("vis_feats", "boxes", "img_order_ids", "obj_order_ids")
"""What a sample has of regions."""


class RegionInputs:
    """From images to regions; picklable.

    Args:
        source: Where they are found.
        boxes: Whether it is read where they stand; otherwise, and where it is not known, boxes are zeros.
        max_regions: Of an image, the first ones; None for all.
    """

    def __init__(self, source: RegionSource, boxes: bool = True, max_regions: int | None = None) -> None:
        self.source, self.boxes, self.max_regions = source, boxes, max_regions
        self.width = source.width

    def __contains__(self, image: object) -> bool:
        """Whether there are regions of an image.

        Args:
            image: A path, or an image in memory.
        """
        return image_key(image) in self.source  # type: ignore[arg-type]

    def sample(self, images: Sequence[Any]) -> dict[str, Tensor]:
        """The regions of an example's images.

        Args:
            images: Paths, or images in memory; None is left out.

        Returns:
            `vis_feats` (N, f) float32, `boxes` (N, 4) float32, and `img_order_ids` and `obj_order_ids` (N,) int64; N is
            0 without an image.

        Raises:
            BadImage: There are no regions of one of them.
            UsageError: Its regions are damaged, or of another width.
        """
        found = [self._of(image) for image in images if image is not None]
        orders = [torch.arange(len(features)) for features, _ in found]
        return {
            "vis_feats": torch.cat([features for features, _ in found] or [torch.zeros(0, self.width)]),
            "boxes": torch.cat([boxes for _, boxes in found] or [torch.zeros(0, 4)]),
            "img_order_ids": torch.cat([torch.full_like(order, k) for k, order in enumerate(orders)] or [_NONE]),
            "obj_order_ids": torch.cat(orders or [_NONE]),
        }

    def collate(self, samples: Sequence[Mapping[str, Any]]) -> dict[str, Tensor]:
        """Join samples.

        Args:
            samples: At least one, from `sample`.

        Returns:
            `vis_feats` (B, N, f) and `boxes` (B, N, 4) float32, padded with zeros; `vis_attention_mask` (B, N) bool,
            True where there is a region; where an example has several images also `img_order_ids` and `obj_order_ids`
            (B, N) int64. N is at least 1.
        """
        return collate_regions(samples)

    def _of(self, image: Any) -> tuple[Tensor, Tensor]:
        key = image_key(image)
        if key not in self.source:
            name = str(image) if isinstance(image, str | Path) else key
            raise BadImage(name, f"there are no regions for it among those of {len(self.source)} images")
        regions = self.source.regions(key).first(self.max_regions)
        if regions.features.shape[1] != self.width:
            raise UsageError(
                f"expected features of {self.width} numbers for {key!r}, found {regions.features.shape[1]}"
            )
        boxes = torch.from_numpy(regions.placed())
        return torch.from_numpy(regions.features), boxes if self.boxes else torch.zeros_like(boxes)


_NONE = torch.zeros(0, dtype=torch.int64)


def collate_regions(samples: Sequence[Mapping[str, Any]]) -> dict[str, Tensor]:
    """As `RegionInputs.collate`, which needs no source.

    Args:
        samples: At least one, with `REGION_TENSORS`.
    """
    batch = {name: pad_sequence([s[name] for s in samples], batch_first=True) for name in REGION_TENSORS}
    lengths = torch.tensor([len(sample["vis_feats"]) for sample in samples])
    if not batch["vis_feats"].shape[1]:
        batch = {name: value.new_zeros(len(samples), 1, *value.shape[2:]) for name, value in batch.items()}
    if not batch["img_order_ids"].any():
        del batch["img_order_ids"], batch["obj_order_ids"]
    batch["vis_attention_mask"] = torch.arange(batch["vis_feats"].shape[1]) < lengths[:, None]
    return batch


def with_regions(examples: Sequence[Any], inputs: RegionInputs, bad: BadExamples) -> list[Any]:
    """Leave out the examples of whose images there are no regions.

    Args:
        examples: Each with `image_paths`, and perhaps an `image` in memory.
        inputs: What reads regions.
        bad: Counts and lists what is left out; the list is written too.

    Returns:
        The usable examples in order; those without an image are usable.

    Raises:
        UsageError: Too many have none.
    """
    usable = []
    for example in examples:
        images = example.image_paths or (getattr(example, "image", None),)
        absent = next((image for image in images if image is not None and image not in inputs), None)
        if absent is None:
            usable.append(example)
        else:
            bad.add(example, BAD_IMAGE, "there are no regions for it")
    bad.write()
    bad.check(len(examples))
    return usable
