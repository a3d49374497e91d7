"""Images as region features: where the features are, or which network computes them.

    {"data": {"regions": {"path": "train_obj36.h5", "max_regions": 36}}}
    {"data": {"regions": {"network": {"name": "resnet101_clip", "weights": "FILE_OR_HUB_ID"}, "pool": 6}}}
    {"data": {"regions": {"network": {"name": "clip", "weights": "openai/clip-vit-base-patch32"}}}}

With a `network` features that are not there yet are made when a run starts, or before by `ofakit data features`.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from ofakit.config.backbone import NetworkSection
from ofakit.config.section import PathText, Section

__all__ = ["CLIP", "RegionNetworkSection", "RegionsSection"]

CLIP = "clip"
"""The `name` of a vision tower of transformers, whose directory or hub id stands in `weights`."""


class RegionNetworkSection(NetworkSection):
    """The network that computes region features: a timm network, or the vision tower of a CLIP model."""

    name: str = Field(description="a timm model, or clip: the vision tower of the directory or hub id in `weights`")


class RegionsSection(Section):
    """Images as region features."""

    path: PathText | None = Field(
        None,
        description="an .h5 file, an .npz file, a folder of .npz files or a region store; with `network`, the store "
        "that is written; null: <work_dir>/regions",
    )
    boxes: bool = Field(True, description="read the positions of regions, if known; false: zeros, as for a grid")
    max_regions: int | None = Field(None, ge=1, le=10_000, description="regions per image, the first ones; null: all")
    network: RegionNetworkSection | None = Field(
        None, description="computes the regions that are missing; null: none may be missing"
    )
    image_size: int = Field(
        224, ge=16, le=4096, description="side in pixels of the square that images are resized to for the network"
    )
    grid: int | None = Field(
        None, ge=1, le=64, description="rows and columns that its feature map is averaged to; null: those of the map"
    )
    pool: int | None = Field(
        None, ge=1, le=64, description="rows and columns that the map is then max-pooled to; null: no pooling"
    )
    dtype: Literal["float32", "float16"] = Field(
        "float32", description="type in which features are stored; float16 rounds them and halves the store"
    )
    keep_network: bool | None = Field(
        None,
        description="store the weights of the network in model directories, which then work on any image without other "
        "files; false: store where the weights are, and their fingerprint; null: true up to 256 MiB",
    )

    @model_validator(mode="after")
    def _can_be_had(self) -> RegionsSection:
        if self.path is None and self.network is None:
            raise ValueError("regions need a path to read them from, or a network that computes them")
        if self.network is not None and self.network.name == CLIP and self.network.weights is None:
            raise ValueError("network.name clip needs network.weights, the directory or hub id of a CLIP model")
        if self.grid is not None and self.pool is not None and self.pool > self.grid:
            raise ValueError(f"pool {self.pool} is larger than grid {self.grid}")
        return self
