"""From the hidden states of a sequence to one vector, without ever looking at padding.

    {"pooling": "first"}               the first token, or "last": the last one
    {"pooling": "mean"}                the mean of the tokens, or "max": the largest of each dimension
    {"pooling": "mean_sqrt"}           the sum of the tokens, divided by the root of their number
    {"pooling": "sum", "layers": 4}    the mean of the sum of the last four layers
    {"pooling": "concat", "layers": 4} the mean of the last four layers, one behind the other

Sources: Reimers & Gurevych 2019 (https://arxiv.org/abs/1908.10084) for `first` and `mean`; Devlin et al. 2019
(https://arxiv.org/abs/1810.04805), section 5.3, for sums and concatenations of layers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor

from ofakit.errors import UsageError, did_you_mean

__all__ = ["Pooling", "pool", "pooled_width"]

Pooling = Literal["first", "last", "mean", "mean_sqrt", "max", "sum", "concat"]


def pool(hidden_states: Sequence[Tensor], mask: Tensor, pooling: str = "mean", layers: int = 1) -> Tensor:
    """One vector per sequence.

    Args:
        hidden_states: Of the layers, the last one last; each `(n, T, d)`.
        mask: `(n, T)`, true where a token stands.
        pooling: A member of `Pooling`.
        layers: How many of the last layers `sum` and `concat` take.

    Returns:
        `(n, d)`, for `concat` `(n, layers * d)`; zeros for a sequence without a token.

    Raises:
        UsageError: There is no such pooling, or there are fewer layers.

    >>> states = torch.tensor([[[1.0], [3.0], [100.0]]])
    >>> pool([states], torch.tensor([[True, True, False]])).tolist()
    [[2.0]]
    """
    if pooling not in get_args(Pooling):
        raise UsageError(f"unknown pooling {pooling!r}: {did_you_mean(str(pooling), get_args(Pooling))}", "pooling")
    if not 1 <= layers <= len(hidden_states):
        raise UsageError(f"expected 1 to {len(hidden_states)} layers to pool, found {layers}", "layers")
    mask, states = mask.bool(), hidden_states[-1]
    if pooling == "first":
        return states[:, 0]
    if pooling == "last":
        places = torch.arange(mask.shape[1], device=mask.device) * mask
        return states[torch.arange(len(states), device=mask.device), places.argmax(1)]
    if pooling == "max":
        largest = states.masked_fill(~mask[..., None], -torch.inf).amax(1)
        return largest.masked_fill(~mask.any(1, keepdim=True), 0)
    if pooling in ("sum", "concat"):
        last = list(hidden_states[-layers:])
        states = torch.cat(last, -1) if pooling == "concat" else torch.stack(last).sum(0)
    return _masked_mean(states, mask, 0.5 if pooling == "mean_sqrt" else 1.0)


def pooled_width(width: int, pooling: str, layers: int) -> int:
    """How wide what `pool` gives is.

    Args:
        width: Of the hidden states.
        pooling: As for `pool`.
        layers: As for `pool`.
    """
    return width * layers if pooling == "concat" else width


def _masked_mean(states: Tensor, mask: Tensor, power: float) -> Tensor:
    """The sum over the tokens that stand, divided by a power of their number; padding may hold anything, even NaN."""
    kept = states.masked_fill(~mask[..., None], 0)
    return kept.sum(1) / (mask.sum(1, keepdim=True).clamp(min=1).to(states.dtype) ** power)
