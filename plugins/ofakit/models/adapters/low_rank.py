"""Bottleneck adapters whose two weights are products of two matrices of a low rank: y = x L R + b.

{"type": "low_rank", "rank": 1, "reduction": 8}

Source: what Karimi Mahabadi et al. 2021, https://arxiv.org/abs/2106.04647, compare their compacters with.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from pydantic import Field
from torch import Tensor, nn

from ofakit.models.adapters.bottleneck import BottleneckAdapter, BottleneckSettings, narrow_width
from ofakit.models.adapters.sites import Site
from ofakit.models.adapters.tasks import AdapterSet

__all__ = ["LowRank", "LowRankLinear"]


class LowRank(BottleneckSettings):
    """Bottleneck adapters of a low rank."""

    rank: int = Field(1, ge=1, le=10_000, description="rank of the two weights")

    def adapter(self, site: Site, adapters: AdapterSet) -> BottleneckAdapter:
        """The adapter of a sublayer.

        Args:
            site: The sublayer's last linear layer.
            adapters: Of the model.
        """
        width, narrow = site.features, narrow_width(site.features, self.reduction)

        def projection(inputs: int, outputs: int) -> Callable[[], nn.Module]:
            return lambda: LowRankLinear(inputs, outputs, self.rank)

        return BottleneckAdapter(adapters.choice, projection(width, narrow), projection(narrow, width), width, self)


class LowRankLinear(nn.Module):
    """y = x L R + b.

    Args:
        inputs: Width of x.
        outputs: Width of y.
        rank: Of L R.
    """

    def __init__(self, inputs: int, outputs: int, rank: int) -> None:
        super().__init__()
        self.left = nn.Parameter(nn.init.xavier_uniform_(torch.empty(inputs, rank)))
        self.right = nn.Parameter(nn.init.xavier_uniform_(torch.empty(rank, outputs)))
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """Project, `(..., in) -> (..., out)`.

        Args:
            x: States.
        """
        return nn.functional.linear(x @ self.left, self.right.t(), self.bias)
