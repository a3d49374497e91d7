"""Shared by encoder and decoder: layers, embeddings, and positions.

T5 has a learned bias for the distance of two words, and a norm behind the last layer; BART numbers the words, and has a
norm on their embeddings.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from ofakit.errors import UsageError
from ofakit.models.ofa.layers import look_up
from ofakit.models.vl.configuration import VLConfig
from ofakit.models.vl.layers import distance_buckets
from ofakit.models.vl.norms import norm

__all__ = ["Stack"]

OFFSET = 2
"""Rows of BART's position table that no position uses."""


class Stack(nn.Module):
    """Layers with the embeddings of words.

    Args:
        config: The model's configuration.
        shared: The token table.
        layers: The layers.
        heads: Attention heads of each.
    """

    def __init__(self, config: VLConfig, shared: nn.Embedding, layers: Iterable[nn.Module], heads: int) -> None:
        super().__init__()
        self.config = config
        self.embed_tokens = shared
        self.embed_scale = math.sqrt(config.d_model) if config.scale_embedding else 1.0
        self.layers = nn.ModuleList(layers)
        if config.is_t5:
            self.relative_attention_bias = nn.Embedding(config.relative_attention_num_buckets, heads)
            self.final_layer_norm = norm(config)
        else:
            self.embed_positions = nn.Embedding(config.max_position_embeddings + OFFSET, config.d_model)
            self.layernorm_embedding = norm(config)
        self.prompt: nn.Module | None = None

    def words(self, input_ids: Tensor) -> Tensor:
        """Embeddings of words, without places, `(...) -> (..., d)`.

        Args:
            input_ids: int64.
        """
        return look_up(self.embed_tokens, input_ids) * self.embed_scale

    def positions(self, start: int, length: int) -> Tensor:
        """BART's positions of words, `(length, d)`.

        Args:
            start: The first word's.
            length: How many words.

        Raises:
            UsageError: There are not so many.
        """
        known = len(self.embed_positions.weight) - OFFSET
        if start + length > known:
            raise UsageError(f"a text of {start + length} tokens is too long: the model has {known} positions")
        return self.embed_positions.weight[OFFSET + start : OFFSET + start + length]

    def distances(self, length: int, both_ways: bool, device: torch.device) -> Tensor:
        """T5's bias for the distances of words, `(H, length, length)`.

        Args:
            length: How many words.
            both_ways: Words behind a word have rows of their own.
            device: Where to compute.
        """
        config = self.config
        sizes = config.relative_attention_num_buckets, config.relative_attention_max_distance
        return self.relative_attention_bias(distance_buckets(length, *sizes, both_ways, device)).permute(2, 0, 1)
