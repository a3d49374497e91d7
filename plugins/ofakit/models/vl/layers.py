"""Attention and layers of both families.

T5 normalises what a branch reads, has no biases, does not scale the products of attention, and adds a learned bias for
the distance of two words. BART normalises after the sum and divides the products by the root of the head's width.
Source: transformers 4.2.1, `modeling_t5.py`, `modeling_bart.py`; Raffel et al. 2020, https://arxiv.org/abs/1910.10683;
Lewis et al. 2020, https://arxiv.org/abs/1910.13461.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ofakit.models.adapters.linear import AdaptedLinear
from ofakit.models.generation.beam_cache import LayerCache
from ofakit.models.ofa.attention import attend
from ofakit.models.ofa.layers import dropout
from ofakit.models.recompute import norm_linear
from ofakit.models.vl.configuration import VLConfig
from ofakit.models.vl.norms import norm

__all__ = ["ACTIVATIONS", "Attention", "DecoderLayer", "Layer", "distance_buckets"]

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": F.gelu,
    "gelu_new": lambda x: F.gelu(x, approximate="tanh"),
    "relu": F.relu,
    "silu": F.silu,
}


def distance_buckets(length: int, buckets: int, furthest: int, both_ways: bool, device: torch.device) -> Tensor:
    """Which row of T5's table is for the distance from a query to a key.

    Half of the buckets (of one direction) are for single distances; the others grow with the logarithm up to
    `furthest`.

    Args:
        length: L, of the sequence.
        buckets: Rows of the table.
        furthest: From here on all distances are in the last bucket.
        both_ways: Keys behind the query have buckets of their own; otherwise they count as distance 0.
        device: Where to compute.

    Returns:
        `(L, L)` int64, queries first.

    >>> distance_buckets(3, 8, 16, True, torch.device("cpu")).tolist()
    [[0, 5, 6], [1, 0, 5], [2, 1, 0]]
    """
    places = torch.arange(length, device=device)
    ahead = places[None] - places[:, None]
    found = torch.zeros_like(ahead)
    if both_ways:
        buckets //= 2
        found = (ahead > 0).long() * buckets
        distance = ahead.abs()
    else:
        distance = (-ahead).clamp(min=0)
    exact = buckets // 2
    scale = (buckets - exact) / torch.log(torch.tensor(furthest / exact))
    far = exact + (torch.log(distance.clamp(min=1).float() / exact) * scale).long()
    return found + torch.where(distance < exact, distance, far.clamp(max=buckets - 1))


class Attention(nn.Module):
    """Attention over `heads` heads.

    Args:
        config: The model's configuration.
        heads: How many.
    """

    def __init__(self, config: VLConfig, heads: int) -> None:
        super().__init__()
        width = config.d_model
        inner = heads * config.d_kv if config.is_t5 else width
        self.heads = heads
        self.dropout = config.attention_dropout
        self.scale = 1.0 if config.is_t5 else (width // heads) ** -0.5
        self.k_proj = nn.Linear(width, inner, bias=not config.is_t5)
        self.v_proj = nn.Linear(width, inner, bias=not config.is_t5)
        self.q_proj = nn.Linear(width, inner, bias=not config.is_t5)
        self.out_proj = nn.Linear(inner, width, bias=not config.is_t5)

    def split(self, x: Tensor) -> Tensor:
        """Divide into heads, `(B, T, H h) -> (B, H, T, h)`.

        Args:
            x: Projected states.
        """
        return x.view(x.shape[0], x.shape[1], self.heads, -1).transpose(1, 2)

    def keys_values(self, memory: Tensor) -> tuple[Tensor, Tensor]:
        """Project what is attended to.

        Args:
            memory: `(B, K, d)`.

        Returns:
            Keys and values, `(B, H, K, h)` each.
        """
        return self.split(self.k_proj(memory)), self.split(self.v_proj(memory))

    def look(self, x: Tensor, keys: Tensor, values: Tensor, bias: Tensor | None, padding: Tensor | None) -> Tensor:
        """Attend from states to keys and values, `(B, Q, d) -> (B, Q, d)`.

        Args:
            x: `(B, Q, d)`.
            keys: `(B, H, K, h)`.
            values: `(B, H, K, h)`.
            bias: `(H or 1, Q, K)` or with a batch before it, or none.
            padding: `(B, 1, 1, K)` as `padding_bias` makes it, or none.
        """
        rate = self.dropout if self.training else 0.0
        heads = attend(self.split(self.q_proj(x)), keys, values, bias, padding, self.scale, rate)
        return self.out_proj(heads.transpose(1, 2).flatten(2))


class Layer(nn.Module):
    """Self-attention, then the feed-forward net: a layer of the encoder.

    Args:
        config: The model's configuration.
        heads: Attention heads.
        ffn_width: Width of the feed-forward net.
    """

    def __init__(self, config: VLConfig, heads: int, ffn_width: int) -> None:
        super().__init__()
        width, biased = config.d_model, not config.is_t5
        self.normalize_before = config.is_t5
        self.dropout, self.activation_dropout = config.dropout, config.activation_dropout
        self.activation = ACTIVATIONS[config.activation_function]
        self.self_attn = Attention(config, heads)
        self.self_attn_layer_norm = norm(config)
        self.fc1 = nn.Linear(width, ffn_width, bias=biased)
        self.gate = nn.Linear(width, ffn_width, bias=biased) if config.gated_feed_forward else None
        self.fc2 = nn.Linear(ffn_width, width, bias=biased)
        self.final_layer_norm = norm(config)

    def branch(self, x: Tensor, function: Callable[[Tensor], Tensor], layer_norm: nn.Module) -> Tensor:
        """Add one residual branch, `(B, T, d) -> (B, T, d)`.

        Args:
            x: States.
            function: What the branch computes.
            layer_norm: Its norm.
        """
        y = dropout(function(layer_norm(x) if self.normalize_before else x), self.dropout, self.training)
        return x + y if self.normalize_before else layer_norm(x + y)

    def feed_forward(self, x: Tensor) -> Tensor:
        """fc2(activation(fc1(x))), the activation times gate(x) where there is a gate, `(B, T, d) -> (B, T, d)`.

        Args:
            x: States.
        """
        rate = self.activation_dropout if self.training else 0.0
        y = self.fc1(x)
        bare = isinstance(self.fc2, nn.Linear) and not isinstance(self.fc2, AdaptedLinear)
        plain = bare and self.gate is None and rate == 0
        if plain and torch.is_grad_enabled() and y.requires_grad:
            return norm_linear(y, self.activation, (), self.fc2.weight, self.fc2.bias)
        y = self.activation(y)
        return self.fc2(dropout(y if self.gate is None else y * self.gate(x), rate))

    def look_around(self, x: Tensor, bias: Tensor | None, padding: Tensor | None) -> Tensor:
        """Self-attention, `(B, T, d) -> (B, T, d)`.

        Args:
            x: States.
            bias: As in `Attention.look`.
            padding: As in `Attention.look`.
        """
        return self.self_attn.look(x, *self.self_attn.keys_values(x), bias, padding)

    def forward(self, x: Tensor, bias: Tensor | None, padding: Tensor | None) -> Tensor:
        """One layer, `(B, S, d) -> (B, S, d)`.

        Args:
            x: States.
            bias: `(H, S, S)` position bias, or none.
            padding: `(B, 1, 1, S)`, or none.
        """
        x = self.branch(x, lambda y: self.look_around(y, bias, padding), self.self_attn_layer_norm)
        return self.branch(x, self.feed_forward, self.final_layer_norm)


class DecoderLayer(Layer):
    """Self-attention, attention to the encoder's states, then the feed-forward net.

    Args:
        config: The model's configuration.
        heads: Attention heads.
        ffn_width: Width of the feed-forward net.
    """

    def __init__(self, config: VLConfig, heads: int, ffn_width: int) -> None:
        super().__init__(config, heads, ffn_width)
        self.encoder_attn = Attention(config, heads)
        self.encoder_attn_layer_norm = norm(config)

    def forward(  # type: ignore[override]
        self, x: Tensor, bias: Tensor | None, memory: Tensor | None, memory_padding: Tensor | None, prompt: int = 0
    ) -> Tensor:
        """One layer over whole sequences, `(B, U, d) -> (B, U, d)`.

        Args:
            x: States.
            bias: `(H or 1, U, U)`, -inf where a key lies ahead.
            memory: `(B, S, d)` states of the encoder; none leaves attention to it out.
            memory_padding: `(B, 1, 1, S)`, or none.
            prompt: States at the beginning that do not look at the encoder.
        """

        def look_up(y: Tensor) -> Tensor:
            return self.encoder_attn.look(y, *self.encoder_attn.keys_values(cast(Tensor, memory)), None, memory_padding)

        x = self.branch(x, lambda y: self.look_around(y, bias, None), self.self_attn_layer_norm)
        if memory is not None and prompt:
            looked = self.branch(x[:, prompt:], look_up, self.encoder_attn_layer_norm)
            x = torch.cat([x[:, :prompt], looked], 1)
        elif memory is not None:
            x = self.branch(x, look_up, self.encoder_attn_layer_norm)
        return self.branch(x, self.feed_forward, self.final_layer_norm)

    def step(
        self, x: Tensor, cache: LayerCache, filled: int, beams: int, mask: Tensor | None, padding: Tensor | None
    ) -> Tensor:
        """One layer over the beams' newest tokens, `(B, beams, d) -> (B, beams, d)`; writes the cache.

        Args:
            x: States; one row per example stands for all its beams.
            cache: This layer's.
            filled: Keys already in the cache.
            beams: Beams per example.
            mask: `(1 or B, 1 or H, 1 or rows, filled + beams)`, added to the scores of the keys, or none.
            padding: `(B, 1, 1, S)`, or none.
        """
        after = filled + beams

        def look_back(y: Tensor) -> Tensor:
            cache.keys[:, :, filled:after], cache.values[:, :, filled:after] = self.self_attn.keys_values(y)
            return self.self_attn.look(y, cache.keys[:, :, :after], cache.values[:, :, :after], mask, None)

        def look_up(y: Tensor) -> Tensor:
            return self.encoder_attn.look(y, cache.memory_keys, cache.memory_values, None, padding)

        x = self.branch(x, look_back, self.self_attn_layer_norm)
        x = self.branch(x, look_up, self.encoder_attn_layer_norm)
        return self.branch(x, self.feed_forward, self.final_layer_norm)
