"""A timm network as the backbone of a model: images in, the features of patches out.

    {"model": {"backbone": {"name": "tf_efficientnet_lite2", "weights": "FILE", "out_indices": [3, 4]}}}

OFA has it in place of its ResNet, VL-T5 and VL-BART in place of regions that were made before. Patches are the places
of the finest requested map; the coarser map's features at that position are appended to its own. The network
normalises images by itself, so that it takes them as bytes.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ofakit.config.backbone import BackboneSection
from ofakit.errors import UsageError
from ofakit.models.batch_norm import batch_norms
from ofakit.models.frozen_features import FrozenFeatures
from ofakit.models.timm_network import pixel_norm, timm_network

__all__ = ["TimmBackbone", "backbone_as"]


class TimmBackbone(nn.Module):
    """A timm network as the visual backbone of a model, with random weights.

    Attributes:
        section: What the network is.
        width: Numbers of a patch.
        norms_rest: Whether batch norms keep their statistics in training.
        features: By the size of images, where what a frozen network makes of them is kept.

    Args:
        section: The network, and which of its maps are taken.

    Raises:
        UsageError: There is no such network, or it gives no such maps.
    """

    def __init__(self, section: BackboneSection) -> None:
        super().__init__()
        network = timm_network(section)
        self.pixels = pixel_norm(section, network)
        self.section = section
        self.stages = _cut(network, section)
        self.network: Any = network.to(memory_format=torch.channels_last)
        channels = [network.feature_info[stage]["num_chs"] for stage in self.stages or ()]
        self.width: int = sum(channels) if self.stages is not None else network.num_features
        self.norms_rest = section.frozen_norms
        self.keep_features(section)
        self._shapes: dict[tuple[int, int], list[torch.Size]] = {}

    def keep_features(self, section: BackboneSection) -> None:
        """Keep what the network makes of images while it is frozen; a section without a folder keeps nothing.

        Args:
            section: Its `feature_store`, `feature_dtype` and `feature_memory`.
        """
        self.folder, self.dtype, self.memory = section.feature_store, section.feature_dtype, section.feature_memory
        self.features: dict[tuple[int, int], FrozenFeatures] = {}

    def train(self, mode: bool = True) -> TimmBackbone:
        """Switch to training or evaluation mode; batch norms with fixed statistics stay in evaluation mode.

        Args:
            mode: Whether to train.
        """
        super().train(mode)
        for norm in batch_norms(self.network) if self.norms_rest else ():
            norm.eval()
        return self

    def forward(self, images: Tensor, frozen: bool = False) -> Tensor:
        """The features of patches, `(B, 3, H, W) -> (B, width, h, w)`.

        Args:
            images: uint8; floats count as normalised already.
            frozen: Whether the network does not learn, so that its features may be found where they are kept.

        Raises:
            UsageError: The network cannot read images of that size.
        """
        size = images.shape[-2], images.shape[-1]
        if not (frozen and self.folder):
            return _joined(self._maps(images))
        shapes = self._shapes_of(size)
        if size not in self.features:
            about = " ".join(str(value) for value in self.section.network().values())
            numbers = sum(math.prod(shape) for shape in shapes)
            self.features[size] = FrozenFeatures(self.folder, f"{about} {size}", numbers, self.dtype, self.memory)
        rows = self.features[size](self.network, images, self._rows)
        parts = rows.split([math.prod(shape) for shape in shapes], 1)
        return _joined([part.view(-1, *shape) for part, shape in zip(parts, shapes, strict=True)])

    def _maps(self, images: Tensor) -> list[Tensor]:
        """The requested maps, the finest first."""
        floats = self.pixels(images).contiguous(memory_format=torch.channels_last)
        try:
            if self.stages is None:
                return [_as_map(self.network.forward_features(floats), self.network)]
            return self.network.forward_intermediates(floats, indices=self.stages, intermediates_only=True)
        except AssertionError as error:
            message = (
                f"{self.section.name} cannot read images of {images.shape[-1]} x {images.shape[-1]} pixels: {error}"
            )
            raise UsageError(message, "patch_image_size") from error

    def _rows(self, images: Tensor) -> Tensor:
        """All maps of each image as one row."""
        return torch.cat([part.flatten(1) for part in self._maps(images)], 1)

    @torch.no_grad()
    def _shapes_of(self, size: tuple[int, int]) -> list[torch.Size]:
        """(C, h, w) of each map for images of a size, found by trying."""
        if size not in self._shapes:
            mean = self.pixels.mean
            blank = torch.zeros(1, 3, *size, dtype=mean.dtype, device=mean.device)
            self._shapes[size] = [part.shape[1:] for part in self._maps(blank)]
        return self._shapes[size]


def backbone_as(found: object, section: BackboneSection) -> TimmBackbone:
    """The visual backbone of a model, with its batch norms fixed and its features cached as a section says.

    Args:
        found: What the model sees through; None: nothing.
        section: What it must be, and how it is trained.

    Raises:
        UsageError: It is another network than the section's, or none of timm.
    """
    known = found.section.network() if isinstance(found, TimmBackbone) else "OFA's own ResNet" if found else "none"
    if not isinstance(found, TimmBackbone) or known != section.network():
        raise UsageError(
            f"model.backbone: expected the model's own backbone, {known}, found {section.network()}; a loaded model "
            "keeps its own, so give the same keys, or leave model.backbone out"
        )
    found.norms_rest = section.frozen_norms
    found.keep_features(section)
    return found


def _cut(network: Any, section: BackboneSection) -> list[int] | None:
    """The requested stages in order, with everything after them cut off; None for the last map."""
    if section.out_indices is None:
        return None
    if not hasattr(network, "forward_intermediates") or not hasattr(network, "prune_intermediate_layers"):
        raise UsageError(
            f"timm's {section.name} does not expose the feature maps of its stages; leave out out_indices",
            "out_indices",
        )
    count = len(network.feature_info)
    if any(not -count <= index < count for index in section.out_indices):
        raise UsageError(
            f"expected out_indices from {-count} to {count - 1} for {section.name}, found {list(section.out_indices)}",
            "out_indices",
        )
    stages = sorted({index % count for index in section.out_indices})
    network.prune_intermediate_layers(stages, prune_norm=True, prune_head=True)
    return stages


def _joined(maps: list[Tensor]) -> Tensor:
    """The finest map, with the coarser ones' features behind its own."""
    finest = maps[0]
    return torch.cat([finest, *(F.interpolate(part, finest.shape[-2:], mode="nearest") for part in maps[1:])], 1)


def _as_map(features: Tensor, network: Any) -> Tensor:
    """What timm's networks give at their end as `(B, C, h, w)`: a map already, one with channels last, or tokens."""
    if features.dim() == 4:
        last = getattr(network, "output_fmt", "NCHW") == "NHWC"
        return features.permute(0, 3, 1, 2) if last else features
    patches = features[:, getattr(network, "num_prefix_tokens", 0) :]
    side = math.isqrt(patches.shape[1])
    if features.dim() != 3 or side * side != patches.shape[1]:
        raise UsageError(f"the last features of the timm network are not a square map: {tuple(features.shape)}", "name")
    return patches.transpose(1, 2).unflatten(2, (side, side))
