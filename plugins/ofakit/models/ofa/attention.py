"""Multi-head attention with an additive position bias and a learned gain for every head.

Source: ModelScope 1.40.2, `models/multi_modal/ofa/modeling_ofa.py`; head gains are NormFormer's, Shleifer et al. 2021,
https://arxiv.org/abs/2110.09456.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ofakit.models.adapters.linear import AdaptedLinear
from ofakit.models.onednn import linear
from ofakit.models.recompute import biased_attention

__all__ = ["Attention", "attend", "padding_bias"]


def padding_bias(padding: Tensor, dtype: torch.dtype) -> Tensor:
    """What is added to the scores of keys that are padding.

    Args:
        padding: `(B, K)`, True where a key is padding.
        dtype: A floating-point type; the lowest number of it stands where a key is padding, 0 elsewhere.

    Returns:
        `(B, 1, 1, K)`.
    """
    lowest = torch.finfo(dtype).min
    return torch.zeros(padding.shape, dtype=dtype, device=padding.device).masked_fill_(padding, lowest)[:, None, None]


def attend(
    query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None, padding: Tensor | None, scale: float, dropout: float
) -> Tensor:
    """softmax(scale * query key^T + bias + padding) value.

    Args:
        query: `(B, H, Q, h)`.
        key: `(B, H, K, h)`.
        value: `(B, H, K, h)`.
        bias: `(H, Q, K)` or `(B, H, Q, K)`, or none.
        padding: `(B, 1, 1, K)` as `padding_bias` makes it, or none.
        scale: Factor on the products.
        dropout: Probability of dropping an attention weight.

    Returns:
        `(B, H, Q, h)`.
    """
    learns = torch.is_grad_enabled() and query.device.type == "cpu" and dropout == 0
    if learns and bias is not None and bias.requires_grad and bias.dim() == 3:
        return biased_attention(query, key, value, bias, padding, scale)
    mask = bias if bias is None or bias.dim() == 4 else bias[None]
    if padding is not None:
        mask = padding if mask is None else mask + padding
    if mask is not None:
        mask = mask.to(query.dtype)
        mask = mask.expand(query.shape[0], query.shape[1], query.shape[2], key.shape[2])
    return F.scaled_dot_product_attention(query, key, value, attn_mask=mask, dropout_p=dropout, scale=scale)


class Attention(nn.Module):
    """Attention over `heads` heads; parameters have the stock names.

    Args:
        width: d_model.
        heads: How many heads it is divided into.
        dropout: Probability of dropping an attention weight in training.
        scale_factor: Products are divided by the root of (head width x `scale_factor`), since the position bias is a
            second term of about the same size.
    """

    def __init__(self, width: int, heads: int, dropout: float, scale_factor: float) -> None:
        super().__init__()
        self.heads = heads
        self.dropout = dropout
        self.scale = (width // heads * scale_factor) ** -0.5
        self.k_proj = nn.Linear(width, width)
        self.v_proj = nn.Linear(width, width)
        self.q_proj = nn.Linear(width, width)
        self.out_proj = nn.Linear(width, width)
        self.c_attn: nn.Parameter | None = nn.Parameter(torch.ones(heads))

    def split(self, x: Tensor) -> Tensor:
        """Divide into heads, `(B, T, d) -> (B, H, T, d / H)`.

        Args:
            x: Projected states.
        """
        return x.view(x.shape[0], x.shape[1], self.heads, -1).transpose(1, 2)

    def keys_values(self, memory: Tensor) -> tuple[Tensor, Tensor]:
        """Project what is attended to.

        Args:
            memory: `(B, K, d)`.

        Returns:
            Keys and values, `(B, H, K, d / H)` each.
        """
        return self.split(self.k_proj(memory)), self.split(self.v_proj(memory))

    def combine(self, heads: Tensor) -> Tensor:
        """Weigh the heads by their gains and project, `(B, H, T, d / H) -> (B, T, d)`.

        The gains are multiplied into what is smaller, the projection or the states; none means that they are already
        in the projection. An adapter on the projection sees the states with the gains.

        Args:
            heads: What `attend` gave.
        """
        x = heads.transpose(1, 2).flatten(2)
        if self.c_attn is None:
            return self.out_proj(x)
        gains = self.c_attn.repeat_interleave(x.shape[-1] // self.heads)
        if x.shape[0] * x.shape[1] < x.shape[2] or isinstance(self.out_proj, AdaptedLinear):
            return self.out_proj(x * gains)
        return linear(x, self.out_proj.weight * gains, self.out_proj.bias)

    def forward(
        self,
        hidden_states: Tensor,
        memory: Tensor | None = None,
        bias: Tensor | None = None,
        padding: Tensor | None = None,
    ) -> Tensor:
        """Attend from `hidden_states` to `memory`, or to themselves.

        Args:
            hidden_states: `(B, Q, d)`.
            memory: `(B, K, d)`, or none for self-attention.
            bias: `(H, Q, K)`, or none.
            padding: `(B, 1, 1, K)` as `padding_bias` makes it, or none.

        Returns:
            `(B, Q, d)`.
        """
        query = self.split(self.q_proj(hidden_states))
        key, value = self.keys_values(hidden_states if memory is None else memory)
        dropout = self.dropout if self.training else 0.0
        return self.combine(attend(query, key, value, bias, padding, self.scale, dropout))
