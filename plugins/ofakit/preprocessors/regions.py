"""Images become region features, for models that read the output of a detector or a frozen grid.

    inputs = RegionInputs(open_regions("train_obj36.h5"), max_regions=36)
    batch = inputs.collate([inputs.sample(["dog.jpg"]), inputs.sample(["left.jpg", "right.jpg"])])

Images that the source has not are looked at by the network that made the others, where one is given (`LiveRegions`), as
those that are captioned after a training. Several images an example stand behind each other; `img_order_ids` says which
image a region is of and `obj_order_ids` which of its regions, as VL-T5 has them for NLVR.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from ofakit.config.regions import RegionsSection
from ofakit.data.bad_examples import BAD_IMAGE, BadExamples
from ofakit.data.decoding import BadImage
from ofakit.data.image_keys import file_digest, image_key
from ofakit.data.region_files import open_regions
from ofakit.data.region_store import RegionStore
from ofakit.data.regions import Regions, RegionSource
from ofakit.errors import OfakitError, UsageError
from ofakit.models.live_regions import LiveRegions

if TYPE_CHECKING:
    from ofakit.hub import ModelBundle

__all__ = [
    "NO_REGIONS",
    "REGION_TENSORS",
    "RegionInputs",
    "collate_regions",
    "give_regions",
    "regions_of",
    "with_regions",
]

NO_REGIONS = (
    "the model reads images as region features, and data.regions is not set: set it to a file or store of regions, or "
    "to a network that computes them, or give the model a backbone (model.backbone)"
)
MADE_ELSEWHERE = (
    "the model reads images as region features, and its directory has no network that computes them, since its "
    "features were computed elsewhere: give the features of these images too, with --regions PATH, regions=PATH in "
    "Python, or data.regions.path"
)
REGION_TENSORS = ("vis_feats", "boxes", "img_order_ids", "obj_order_ids")
"""What a sample has of regions."""


class RegionInputs:
    """From images to regions; picklable.

    Args:
        source: Where they are found; None: nowhere, they are all made.
        boxes: Whether it is read where they stand; otherwise, and where it is not known, boxes are zeros.
        max_regions: Of an image, the first ones; None for all.
        live: What makes those that are not found.

    Raises:
        UsageError: There is neither, or the source has features of another width than the network makes.
    """

    def __init__(
        self,
        source: RegionSource | None,
        boxes: bool = True,
        max_regions: int | None = None,
        live: LiveRegions | None = None,
    ) -> None:
        if source is None and live is None:
            raise UsageError(NO_REGIONS)
        self.source, self.live, self.boxes, self.max_regions = source, live, boxes, max_regions
        widths = {own.width for own in (source, live) if own is not None}
        if len(widths) > 1:
            raise UsageError(f"expected regions of one width, found {sorted(widths)} in a source and of a network")
        (self.width,) = widths

    @property
    def image_size(self) -> int | None:
        """Pixels a side that images are squeezed to where all regions are made; None where they are found."""
        return self.live.image_size if self.source is None and self.live is not None else None

    def __contains__(self, image: object) -> bool:
        """Whether there are regions of an image, or what would make them.

        Args:
            image: A path, or an image in memory.
        """
        return self.live is not None or self._is_found(image)

    def _is_found(self, image: Any) -> bool:
        return self.source is not None and image_key(image) in self.source

    def sample(self, images: Sequence[Any]) -> dict[str, Tensor]:
        """The regions of an example's images.

        Args:
            images: Paths, or images in memory; None is left out.

        Returns:
            `vis_feats` (N, f) float32, `boxes` (N, 4) float32, and `img_order_ids` and `obj_order_ids` (N,) int64; N is
            0 without an image.

        Raises:
            BadImage: There are no regions of one of them, or it cannot be read for them to be made.
            UsageError: Its regions are damaged, or of another width.
        """
        (found,) = self.samples([images])
        if isinstance(found, OfakitError):
            raise found
        return found

    def samples(self, examples: Sequence[Sequence[Any]]) -> list[dict[str, Tensor] | OfakitError]:
        """As `sample`, of several examples; the regions that have to be made are made together.

        Args:
            examples: The images of each.

        Returns:
            One entry an example, in place of one that cannot be had the error that `sample` raises.
        """
        shown = [[image for image in images if image is not None] for images in examples]
        found = iter(self._found_or_made([image for images in shown for image in images]))
        return [self._joined([(image, next(found)) for image in images]) for images in shown]

    def _joined(self, images: Sequence[tuple[Any, Regions | OfakitError]]) -> dict[str, Tensor] | OfakitError:
        """The sample of an example, or the first error of its images."""
        try:
            found = [self._tensors(image, regions) for image, regions in images]
        except OfakitError as error:
            return error
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

    def _tensors(self, image: Any, regions: Regions | OfakitError) -> tuple[Tensor, Tensor]:
        if isinstance(regions, OfakitError):
            raise regions
        regions = regions.first(self.max_regions)
        if regions.features.shape[1] != self.width:
            raise UsageError(
                f"expected features of {self.width} numbers for {image_key(image)!r}, found {regions.features.shape[1]}"
            )
        boxes = torch.from_numpy(regions.placed())
        return torch.from_numpy(regions.features), boxes if self.boxes else torch.zeros_like(boxes)

    def _found_or_made(self, images: Sequence[Any]) -> list[Regions | OfakitError]:
        """The regions of images, or why there are none; those of all that are not found are made together."""
        found = [self._found(image) for image in images]
        made = iter(self._made([image for image, own in zip(images, found, strict=True) if own is None]))
        return [next(made) if own is None else own for own in found]

    def _found(self, image: Any) -> Regions | OfakitError | None:
        """What the source has of an image; None where it has nothing."""
        key = "" if self.source is None else image_key(image)
        if self.source is None or key not in self.source or self._is_of_another(key, image):
            return None
        try:
            return self.source.regions(key)
        except UsageError as error:
            return error

    def _made(self, images: Sequence[Any]) -> Sequence[Regions | OfakitError]:
        """The regions of images that the source has not."""
        if self.live is None:
            there = 0 if self.source is None else len(self.source)
            return [
                BadImage(image_key(image), f"there are no regions for it among those of {there} images")
                for image in images
            ]
        try:
            return self.live.regions_of(images) if images else []
        except UsageError as error:  # there is no network
            return [error] * len(images)

    def _is_of_another(self, key: str, image: Any) -> bool:
        """Whether a store has regions under the name of an image that are those of another file."""
        store = self.source
        return self.live is not None and isinstance(store, RegionStore) and store.is_of_another(key, file_digest(image))


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


def regions_of(bundle: ModelBundle) -> RegionInputs:
    """What reads images as regions for a model: as it was given to it, or else the network in its directory.

    Args:
        bundle: A model that reads regions.

    Raises:
        UsageError: It has neither.
    """
    if bundle.regions is not None:
        return bundle.regions
    if bundle.live_regions is None:
        raise UsageError(MADE_ELSEWHERE)
    section = bundle.live_regions.about.regions
    return RegionInputs(None, section.boxes, section.max_regions, bundle.live_regions)


def give_regions(bundle: ModelBundle, path: str | Path, section: RegionsSection | None = None) -> None:
    """Let a model find the regions of images in a file; what is not there is made, if its directory has the network.

    Args:
        bundle: Gets its `regions`.
        path: As `open_regions` takes it.
        section: How they are read; None: as those that the model's network makes, or all.

    Raises:
        UsageError: There are none, or the store is of another network than the model's.
    """
    live, source = bundle.live_regions, open_regions(path)
    made_by = getattr(source, "header", {}).get("made_by", {})
    if live is not None and made_by.get("fingerprint", live.fingerprint) != live.fingerprint:
        raise UsageError(
            f"{path} holds regions made by another network than the model's: expected the fingerprint "
            f"{live.fingerprint}, found {made_by['fingerprint']}"
        )
    if section is None and live is not None:
        section = live.about.regions
    how: dict[str, Any] = {} if section is None else {"boxes": section.boxes, "max_regions": section.max_regions}
    bundle.regions = RegionInputs(source, **how, live=live)


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
