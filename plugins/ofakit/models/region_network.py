"""A frozen network that makes regions of pictures: the cells of its last map, or its patches.

    network = RegionNetwork(RegionsSection(network={"name": "resnet101_clip", "weights": "FILE"}, pool=6))
    features = network(images)          # (n, 3, 224, 224) uint8 → (n, 36, 2048) float32

Of timm any network will do: of those of CLIP's ResNets these are the cells of the fourth stage, before attention pools
them, as VL-Adapter has them. Of a vision tower of transformers these are the states of its patches behind the last
layer. Class and register tokens are left out.

Source: VL-Adapter (https://github.com/ylsung/VL_adapter), `feature_extraction/`.
"""

from __future__ import annotations

import hashlib
import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ofakit.config.regions import CLIP, RegionNetworkSection, RegionsSection
from ofakit.errors import UsageError
from ofakit.models.encoders.clip import image_norm
from ofakit.models.encoders.hugging_face import local_directory
from ofakit.models.heads.grid_pool import pool_grid
from ofakit.models.onednn import use_onednn
from ofakit.models.pixels import PixelNorm
from ofakit.models.timm_network import load_weights, pixel_norm, timm_network
from ofakit.models.transformers_directory import load_network

__all__ = ["RegionNetwork", "regions_of_map"]

AT_ONCE = 32
"""Images that an accelerator computes in one pass; a CPU computes each alone, so that no batch shows in features."""


class RegionNetwork:
    """Images → regions.

    Args:
        section: With a `network`.
        seed: Of its weights, where it has none.
        device: Where it computes.
        pixels: What images are normalised by, where it is not what `section` says.

    Raises:
        UsageError: There is no such network, its weights do not fit, or its map cannot be pooled as asked.
    """

    def __init__(
        self,
        section: RegionsSection,
        seed: int = 0,
        device: torch.device | str = "cpu",
        pixels: PixelNorm | None = None,
    ) -> None:
        if section.network is None:
            raise UsageError("expected a network that computes regions, found none", "network")
        self.section, self.image_size, self.spec, self.seed = section, section.image_size, section.network, seed
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network, own = (_clip if self.spec.name == CLIP else _timm)(self.spec)
        self.network: Any = network.eval().requires_grad_(False)
        use_onednn(network)
        self.pixels = own if pixels is None else pixels
        self.to(device)
        self.count, self.width = self._shape()
        self.made_by = self._description()

    def to(self, device: torch.device | str) -> RegionNetwork:
        """Let it compute on a device.

        Args:
            device: Which.
        """
        self.device = torch.device(device)
        self.network.to(self.device)
        self.pixels.to(self.device)
        return self

    @torch.inference_mode()
    def __call__(self, images: Tensor) -> Tensor:
        """The regions of some images.

        Args:
            images: `(n, 3, image_size, image_size)` uint8.

        Returns:
            `(n, N, f)` float32 on the CPU, row by row.
        """
        at_once = 1 if self.device.type == "cpu" else AT_ONCE
        return torch.cat([self._regions(part.to(self.device)).float().cpu() for part in images.split(at_once)])

    def _regions(self, images: Tensor) -> Tensor:
        pixels = self.pixels(images)
        section = self.section
        if self.spec.name == CLIP:
            rows = self._without_extra(self.network(pixel_values=pixels).last_hidden_state)
        else:
            rows = regions_of_map(self.network, self.network.forward_features(pixels))
        if section.grid is not None:
            rows = _averaged(rows, section.grid)
        return rows if section.pool is None else pool_grid(rows, section.pool)

    def _without_extra(self, states: Tensor) -> Tensor:
        """Without the class token in front of the patches, where there is one."""
        config = self.network.config
        patches = (self.image_size // config.patch_size) ** 2
        return states[:, states.shape[1] - patches :]

    def _shape(self) -> tuple[int, int]:
        """How many regions an image has, and how wide they are."""
        side = self.image_size
        try:
            found = self(torch.zeros(1, 3, side, side, dtype=torch.uint8))
        except (RuntimeError, AssertionError, ValueError) as error:
            reason = str(error).partition("\n")[0]
            raise UsageError(f"{self.spec.name} cannot read images of {side} pixels: {reason}", "image_size") from None
        return found.shape[1], found.shape[2]

    def _description(self) -> dict[str, Any]:
        """All that the features depend on, fit for JSON."""
        digest = hashlib.blake2b(digest_size=12)
        for name, value in sorted(self.network.state_dict().items()):
            digest.update(name.encode())
            digest.update(value.cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
        norm = [[round(float(number), 6) for number in part.flatten()] for part in (self.pixels.mean, self.pixels.std)]
        return {
            "network": self.spec.name,
            "options": self.spec.options,
            "fingerprint": digest.hexdigest(),
            "mean_std": norm,
            "image_size": self.image_size,
            "grid": self.section.grid,
            "pool": self.section.pool,
        }


def regions_of_map(network: Any, found: Tensor) -> Tensor:
    """Regions from what a timm network gives: a map with colours first or last, or tokens.

    Args:
        network: Whose they are.
        found: From its `forward_features`.

    Returns:
        `(n, N, f)`, row by row, without class and register tokens.

    Raises:
        UsageError: It is neither.
    """
    if found.dim() == 3:
        return found[:, getattr(network, "num_prefix_tokens", 0) :]
    if found.dim() != 4:
        raise UsageError(f"a network whose output has {found.dim()} dimensions has no regions; choose another", "name")
    last = str(getattr(network, "output_fmt", "NCHW")).endswith("NHWC")
    return found.flatten(1, 2) if last else found.flatten(2).transpose(1, 2)


def _timm(spec: RegionNetworkSection) -> tuple[nn.Module, PixelNorm]:
    """A network of timm with its weights."""
    network = timm_network(spec)
    load_weights(network, spec)
    return network.to(memory_format=torch.channels_last), pixel_norm(spec, network)


def _clip(spec: RegionNetworkSection) -> tuple[nn.Module, PixelNorm]:
    """The vision tower of a CLIP or SigLIP."""
    from transformers import AutoConfig, CLIPVisionModel, SiglipVisionModel

    path = local_directory(str(spec.weights))
    try:
        kind = AutoConfig.from_pretrained(str(path)).model_type
    except (OSError, ValueError) as error:
        raise UsageError(f"no network in {path}: {str(error).partition(chr(10))[0]}", "weights") from None
    towers = {"clip": CLIPVisionModel, "siglip": SiglipVisionModel}
    name = kind.removesuffix("_vision_model")
    if name not in towers:
        raise UsageError(f"expected a CLIP or SigLIP in {path}, found a {kind}", "weights")
    return load_network(towers[name], path), PixelNorm(*image_norm(path))


def _averaged(rows: Tensor, side: int) -> Tensor:
    """A square grid averaged to one of another size; one of that size as it is."""
    own = math.isqrt(rows.shape[1])
    if own * own != rows.shape[1] or own < side:
        raise UsageError(
            f"grid {side} needs a square map of at least as many rows, found {rows.shape[1]} cells", "grid"
        )
    grid = rows.transpose(1, 2).unflatten(2, (own, own))
    return F.adaptive_avg_pool2d(grid, side).flatten(2).transpose(1, 2)
