"""The norm of each family: BART's layer norm, and T5's, which divides by the root of the mean square and adds nothing.

Source of the latter: Zhang and Sennrich 2019, https://arxiv.org/abs/1910.07467.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ofakit.models.vl.configuration import VLConfig

__all__ = ["RMSNorm", "norm"]


class RMSNorm(nn.Module):
    """x / root(mean(x ** 2) + eps) * weight, over the last dimension.

    Args:
        width: Its size.
        eps: Added to the mean.
    """

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """Normalise, `(..., width) -> (..., width)`.

        Args:
            x: In any precision.
        """
        return F.rms_norm(x, self.weight.shape, self.weight.to(x.dtype), self.eps)


def norm(config: VLConfig) -> nn.Module:
    """A norm of states.

    Args:
        config: The model's configuration.
    """
    if config.is_t5:
        return RMSNorm(config.d_model, config.layer_norm_epsilon)
    return nn.LayerNorm(config.d_model, config.layer_norm_epsilon)
