"""Attended grid: find where the thing is, then pool the features of its parts in order.

An average over positions forgets how the parts of a thing are arranged; a fixed grid over the image does not follow the
thing when it moves or grows. Here a learnt attention over the positions says where the thing is and how large, by the
first two moments of its weights, and a small lattice of points laid over that region reads the features. Related:
spatial transformers (Jaderberg et al., 2015, https://arxiv.org/abs/1506.02025), whose sampling this uses.

    {"type": "timm", "name": "resnet10t", "pooling": "attended_grid", "grid": [4, 6], "channels": 64}
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from ofakit.errors import UsageError

__all__ = ["AttendedGrid", "attended_region"]

# Variance of a point, in squared halves of the image: keeps the root's gradient finite.
LEAST_VARIANCE = 1e-4
# In standard deviations; an even weight over a rectangle ends at sqrt(3) = 1.7.
FIRST_REACH = 2.0


def attended_region(weights: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and standard deviation of positions under weights.

    Args:
        weights: (B, H, W), each image's summing to 1.

    Returns:
        (B, 2) mean and (B, 2) standard deviation, (x, y), where -1 and 1 are the image's edges.

    >>> attended_region(torch.tensor([[[0.0, 1.0]]]))[0].tolist()
    [[0.5, 0.0]]
    """
    means, deviations = [], []
    for share in (weights.sum(1), weights.sum(2)):  # along x, then along y
        length = share.shape[1]
        place = (2 * torch.arange(length, device=share.device, dtype=share.dtype) + 1) / length - 1
        mean = (share * place).sum(1, keepdim=True)
        variance = (share * (place - mean) ** 2).sum(1, keepdim=True)
        means.append(mean)
        deviations.append((variance + LEAST_VARIANCE).sqrt())
    return torch.cat(means, 1), torch.cat(deviations, 1)


class AttendedGrid(nn.Module):
    """Feature map → the features of a lattice over the attended region, in order.

    Args:
        in_channels: Of the feature map.
        grid: Rows and columns of the lattice.
        channels: To which a point's features are reduced before they are read.

    Raises:
        UsageError: The lattice has no points.

    Shapes: (B, in_channels, H, W) -> (B, rows * columns * channels); any H and W.
    """

    lattice: torch.Tensor

    def __init__(self, in_channels: int, grid: tuple[int, int] = (4, 6), channels: int = 64) -> None:
        super().__init__()
        if min(grid) < 1:
            raise UsageError(f"expected at least one row and one column in grid, found {tuple(grid)}")
        self.attention = nn.Conv2d(in_channels, 1, 1)
        self.reduce = nn.Conv2d(in_channels, channels, 1)
        self.reach = nn.Parameter(torch.full((2,), FIRST_REACH))
        rows, columns = (torch.linspace(-1, 1, n) if n > 1 else torch.zeros(1) for n in grid)
        lattice = torch.stack(torch.meshgrid(columns, rows, indexing="xy"), dim=-1)
        self.register_buffer("lattice", lattice, persistent=False)
        self.out_features = grid[0] * grid[1] * channels

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Pool a feature map.

        Args:
            features: (B, in_channels, H, W).

        Returns:
            (B, rows * columns * channels), point after point.
        """
        weights = self.attention(features).flatten(1).softmax(1).unflatten(1, features.shape[2:])
        mean, deviation = attended_region(weights)
        points = mean[:, None, None] + (deviation * self.reach)[:, None, None] * self.lattice
        read = F.grid_sample(self.reduce(features), points, align_corners=False, padding_mode="border")
        return F.gelu(read).flatten(2).transpose(1, 2).flatten(1)
