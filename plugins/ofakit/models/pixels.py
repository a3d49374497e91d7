"""Bytes of images to normalised floats, on the device where the model is."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

__all__ = ["MEAN_STD", "PixelNorm"]

MEAN_STD = {
    "half": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
}


class PixelNorm(nn.Module):
    """(pixels / 255 - mean) / std, computed in fp32.

    Args:
        mean: One number a colour, 0 to 1.
        std: Likewise.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(3, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Normalise.

        Args:
            images: `(n, 3, H, W)` uint8; floats count as normalised already.

        Returns:
            `(n, 3, H, W)` in the type of the module.
        """
        if images.is_floating_point():
            return images.to(self.mean.dtype)
        return images.float().div_(255).sub_(self.mean.float()).div_(self.std.float()).to(self.mean.dtype)
