"""Images by any timm backbone, from random weights, a file or a hub.

    {"type": "timm", "name": "resnet18", "pretrained": true, "image_size": 224}
    {"type": "timm", "name": "tf_efficientnet_lite0", "weights": "FILE.safetensors", "mean_std": "half"}
    {"type": "timm", "name": "resnet10t", "image_size": 64, "pooling": "grid", "grid": [2, 3], "projection": 128}
    {"type": "timm", "name": "tf_efficientnet_lite0", "feature_store": "work_dir/features", "projection": 384}

`average` is the backbone's own pooling, which keeps nothing of where things are; `grid` keeps the mean of each cell of
a grid, one behind the other, where the arrangement tells images apart; `attended_grid` first finds where the thing is.
`classes` are the probabilities that the backbone's own classifier gives, by which things of different kinds are told
apart better than by what it pools.

With a `feature_store` the backbone does not learn, and what it makes of an image is computed once for all epochs,
evaluations and runs. Only images that always look alike can be found there: random cuts would fill the folder.

Source: https://github.com/huggingface/pytorch-image-models.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from ofakit.config.backbone import TimmSection
from ofakit.errors import UsageError
from ofakit.models.encoders.base import Encoder, EncoderSettings
from ofakit.models.frozen_features import FrozenFeatures
from ofakit.models.heads.attended_grid import AttendedGrid
from ofakit.models.heads.projection import Head
from ofakit.models.reading import Reading
from ofakit.models.timm_network import load_weights, pixel_norm, timm_network

__all__ = ["TimmEncoder", "TimmSettings"]


Cells = Annotated[int, Field(ge=1, le=64)]


class TimmSettings(TimmSection, EncoderSettings):
    """The keys of `timm`: those of a timm network, and how its features are pooled."""

    name: str = Field("resnet18", description="a timm model")
    image_size: int = Field(224, ge=16, le=4096, description="side of images in pixels")
    pooling: Literal["average", "grid", "attended_grid", "classes"] = "average"
    grid: tuple[Cells, Cells] = Field((2, 2), description="rows and columns of the grid")
    channels: int = Field(64, ge=1, le=65_536, description="width of each point of an attended grid")


class TimmEncoder(Encoder):
    """Images through a backbone.

    Args:
        settings: Its keys.
        reading: Says the size of images.

    Raises:
        UsageError: There is no such backbone, or the weights do not fit it.
    """

    Settings = TimmSettings
    reads = frozenset({"image"})

    def __init__(self, settings: TimmSettings, reading: Reading) -> None:
        super().__init__()
        classifier = settings.pooling == "classes"
        self.backbone: Any = timm_network(settings, classifier).to(memory_format=torch.channels_last)
        load_weights(self.backbone, settings, classifier)
        self.pixels = pixel_norm(settings, self.backbone)
        self.pool: AttendedGrid | None = None
        if settings.pooling == "attended_grid":
            channels: Any = self.backbone.num_features
            self.pool = AttendedGrid(channels, settings.grid, settings.channels)
        self.settings = settings.model_copy(update={"pretrained": False, "weights": None, "feature_store": None})
        self.features: FrozenFeatures | None = None
        width = self._width()
        if settings.feature_store is not None:
            self.features = self._frozen(settings.feature_store, width)
        self.head = Head(width, settings.projection, settings.normalize)

    @classmethod
    def make_reading(cls, settings: TimmSettings, texts: Iterable[str]) -> Reading:
        """The size of images.

        Args:
            settings: Its keys.
            texts: Not looked at.
        """
        return Reading(image_size=settings.image_size)

    @classmethod
    def load_reading(cls, settings: TimmSettings, folder: str | Path) -> Reading:
        """The size of images.

        Args:
            settings: Its keys.
            folder: Not looked at.
        """
        return cls.make_reading(settings, ())

    def pooled(self, inputs: Mapping[str, Tensor], modalities: Sequence[str]) -> Tensor:
        """What the backbone makes of each image; zeros for an image that is not there.

        Args:
            inputs: `images` `(n, 3, H, W)` uint8 and `image_mask` `(n,)` bool.
            modalities: `image`.
        """
        images = inputs["images"]
        pooled = self._pooled(images) if self.features is None else self.features(self.backbone, images, self._pooled)
        return pooled * inputs["image_mask"][:, None].to(pooled.dtype)

    def parts(self) -> dict[str, Sequence[nn.Module]]:
        """`visual` or `backbone`, the backbone; `projection`, what follows it."""
        own = [self.head] if self.pool is None else [self.pool, self.head]
        return {"visual": [self.backbone], "backbone": [self.backbone], "projection": own}

    def _pooled(self, images: Tensor) -> Tensor:
        floats = self.pixels(images).contiguous(memory_format=torch.channels_last)
        features = self.backbone.forward_features(floats)
        if self.pool is not None:
            return self.pool(features)
        if self.settings.pooling == "grid":
            return _cells(features, self.settings.grid)
        if self.settings.pooling == "classes":
            return self.backbone.forward_head(features).softmax(-1)
        return self.backbone.forward_head(features, pre_logits=True)

    def _frozen(self, folder: str, width: int) -> FrozenFeatures:
        """Stop the backbone from learning, and keep its features."""
        settings = self.settings
        if self.pool is not None:
            raise UsageError(
                "the pooling 'attended_grid' is trained, so its features cannot be cached", "feature_store"
            )
        self.backbone.requires_grad_(False)
        self.backbone.eval()
        about = f"{settings.pooling} {settings.grid} {settings.mean_std} {settings.image_size} {settings.options}"
        return FrozenFeatures(
            folder, f"{settings.name} {about}", width, settings.feature_dtype, settings.feature_memory
        )

    @torch.no_grad()
    def _width(self) -> int:
        """How wide pooled vectors are, found by trying."""
        was_training = self.backbone.training
        self.backbone.eval()
        side = self.settings.image_size
        blank = {"images": torch.zeros(1, 3, side, side), "image_mask": torch.ones(1, dtype=torch.bool)}
        try:
            width = self.pooled(blank, ("image",)).shape[1]
        except (RuntimeError, AssertionError) as error:
            reason = str(error).partition("\n")[0]
            message = f"{self.settings.name} cannot read images of {side} pixels: {reason}"
            raise UsageError(message, "image_size") from None
        self.backbone.train(was_training)
        return width


def _cells(features: Tensor, grid: tuple[int, int]) -> Tensor:
    """The mean of each cell of a grid, one behind the other: `(n, C, h, w)` to `(n, C * rows * columns)`."""
    if features.dim() != 4 or features.shape[2] < grid[0] or features.shape[3] < grid[1]:
        shape = " x ".join(map(str, features.shape[1:]))
        raise UsageError(f"the pooling 'grid' needs a map of at least {grid[0]} x {grid[1]}, found {shape}", "grid")
    return F.adaptive_avg_pool2d(features, grid).flatten(1)
