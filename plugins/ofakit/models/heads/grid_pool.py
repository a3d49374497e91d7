"""A square grid of regions becomes a coarser one, by max-pooling each window.

    pool_grid(features, 6)          # 7 x 7 regions → 6 x 6, as VL-Adapter's `downsample`

Source: VL-Adapter (https://github.com/ylsung/VL_adapter), `Downsample` of its T5 and BART; PyTorch's adaptive windows
overlap where the sides do not divide.
"""

from __future__ import annotations

import math

from torch import Tensor
from torch.nn import functional as F

from ofakit.errors import UsageError

__all__ = ["pool_grid"]


def pool_grid(features: Tensor, side: int) -> Tensor:
    """Pool a grid.

    Args:
        features: (B, n * n, f), row by row.
        side: Regions a side that are left.

    Returns:
        (B, side * side, f).

    Raises:
        UsageError: The regions are no square grid, or there is none.

    >>> import torch
    >>> pool_grid(torch.arange(9.0).view(1, 9, 1), 2).flatten().tolist()
    [4.0, 5.0, 7.0, 8.0]
    """
    count = features.shape[1]
    own = math.isqrt(count)
    if own * own != count or not count or side < 1:
        raise UsageError(f"expected a square grid of regions to pool to {side} x {side}, found {count} regions", "pool")
    grid = features.transpose(1, 2).unflatten(2, (own, own))
    return F.adaptive_max_pool2d(grid, side).flatten(2).transpose(1, 2)
