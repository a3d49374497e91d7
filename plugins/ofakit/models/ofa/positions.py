"""Positions: which pairs of positions share a learned bias, and the biases themselves.

Attention in OFA adds two terms to its scores: a product of position embeddings, the same in every layer, and a
learned number for each relative distance, one table a layer. Neither depends on the batch, so both are computed once
for a batch, `(heads, queries, keys)`.
Source: ModelScope 1.40.2, `models/multi_modal/ofa/modeling_ofa.py`; the text buckets are those of T5 made symmetric.
"""

from __future__ import annotations

import functools
import math
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ofakit.errors import UsageError

__all__ = [
    "MAX_POSITIONS",
    "bias_table",
    "image_buckets",
    "image_position_ids",
    "position_bias",
    "relative_bias",
    "stock_image_table",
    "text_positions",
    "token_buckets",
]

MAX_POSITIONS = 1024
"""The stock bucket tables end here, so a longer text has no biases."""


def text_positions(embedding: nn.Embedding, length: int) -> Tensor:
    """The position embeddings of a text.

    Args:
        embedding: The model's `embed_positions`; a text begins at its first row.
        length: Number of tokens.

    Returns:
        `(length, d)`.

    Raises:
        UsageError: The text is longer than the embedding, or than the 1024 positions that have biases.

    >>> text_positions(nn.Embedding(10, 4), 3).shape
    torch.Size([3, 4])
    """
    most = min(MAX_POSITIONS, embedding.num_embeddings)
    if length > most:
        raise UsageError(f"a text of {length} tokens is too long; the model has {most} positions")
    return embedding.weight[:length]


@functools.lru_cache(maxsize=64)
def token_buckets(length: int, bucket_size: int, device: torch.device | str = "cpu") -> Tensor:
    """The row of the bias table for every pair of text positions.

    Distances below half of `bucket_size` have a row each; farther ones share rows that grow with the logarithm.

    Args:
        length: Number of positions, at most 1024.
        bucket_size: The configuration's `token_bucket_size`.
        device: Where the result shall be.

    Returns:
        `(length, length)` int64, query by key.

    >>> token_buckets(3, 256).tolist()
    [[255, 254, 253], [256, 255, 254], [257, 256, 255]]
    """
    with torch.inference_mode(False):
        positions = torch.arange(length)
        distance = positions[:, None] - positions[None, :]
        half = bucket_size // 2
        near = (distance < half) & (distance > -half)
        far = torch.where(near, half - 1, distance.abs())
        steps = torch.ceil(torch.log(far / half) / math.log((MAX_POSITIONS - 1) / half) * (half - 1)) + half
        bucket = torch.where(far.le(half), distance, steps.int() * distance.sign())
        return (bucket.long() + bucket_size - 1).to(device)


@functools.lru_cache(maxsize=16)
def image_position_ids(height: int, width: int, bucket_size: int, device: torch.device | str = "cpu") -> Tensor:
    """The row of the position embedding for every patch, by rows of the image.

    Args:
        height: Patches from top to bottom, at most `bucket_size`.
        width: Patches from left to right, at most `bucket_size`.
        bucket_size: The configuration's `image_bucket_size`.
        device: Where the result shall be.

    Returns:
        `(height * width,)` int64; row 0 of the embedding stands for no patch.

    Raises:
        UsageError: The image has more patches than the model has positions.

    >>> image_position_ids(2, 2, 42).tolist()
    [1, 2, 43, 44]
    """
    _check_grid(height, width, bucket_size)
    with torch.inference_mode(False):
        rows = torch.arange(height)[:, None] * bucket_size
        return (rows + torch.arange(width) + 1).flatten().to(device)


@functools.lru_cache(maxsize=16)
def image_buckets(height: int, width: int, bucket_size: int, device: torch.device | str = "cpu") -> Tensor:
    """The row of the bias table for every pair of patches: one for each offset in the plane.

    Args:
        height: Patches from top to bottom, at most `bucket_size`.
        width: Patches from left to right, at most `bucket_size`.
        bucket_size: The configuration's `image_bucket_size`.
        device: Where the result shall be.

    Returns:
        `(height * width, height * width)` int64, query by key.

    Raises:
        UsageError: The image has more patches than the model has positions.
    """
    _check_grid(height, width, bucket_size)
    with torch.inference_mode(False):
        y = torch.arange(height).repeat_interleave(width)
        x = torch.arange(width).repeat(height)
        down = y[:, None] - y[None, :] + bucket_size - 1
        right = x[:, None] - x[None, :] + bucket_size - 1
        return (down * (2 * bucket_size - 1) + right).to(device)


def _check_grid(height: int, width: int, bucket_size: int) -> None:
    if max(height, width) > bucket_size:
        found = f"{height} x {width} patches of 16 pixels"
        raise UsageError(f"an image of {found} is too large; the model has positions for {bucket_size} x {bucket_size}")


def image_distances(bucket_size: int) -> int:
    """Rows of the image bias table: every offset, and three for pairs with the position that is no patch."""
    return (2 * bucket_size - 1) ** 2 + 3


def stock_image_table(bucket_size: int) -> Tensor:
    """The integer table that stock checkpoints carry; the model computes the part it needs itself.

    Args:
        bucket_size: The configuration's `image_bucket_size`.

    Returns:
        `(bucket_size ** 2 + 1,) * 2` int64.
    """
    size, rows = bucket_size**2 + 1, image_distances(bucket_size)
    table = torch.empty(size, size, dtype=torch.int64)
    table[1:, 1:] = image_buckets(bucket_size, bucket_size, bucket_size)
    table[0, :] = rows - 3
    table[:, 0] = rows - 2
    table[0, 0] = rows - 1
    return table


def bias_table(tables: nn.ModuleList, index: int) -> Tensor:
    """One of a model's tables of learned biases.

    Args:
        tables: Embeddings.
        index: Of a layer, or 0 where all share one.

    Returns:
        `(rows, heads)`.
    """
    return cast(nn.Embedding, tables[index]).weight


def relative_bias(table: Tensor, buckets: Tensor) -> Tensor:
    """Look up the learned bias of every pair of positions.

    Args:
        table: `(rows, heads)`.
        buckets: `(queries, keys)` int64.

    Returns:
        `(heads, queries, keys)`.
    """
    return F.embedding(buckets, table).permute(2, 0, 1)


def position_bias(queries: Tensor, keys: Tensor, heads: int, scale: float) -> Tensor:
    """The bias that two sequences of projected position embeddings give.

    Args:
        queries: `(Q, d)`.
        keys: `(K, d)`.
        heads: Number of heads that d is divided into.
        scale: Factor on the products.

    Returns:
        `(heads, Q, K)`.
    """
    q = queries.view(len(queries), heads, -1).transpose(0, 1)
    k = keys.view(len(keys), heads, -1).permute(1, 2, 0)
    return torch.matmul(q * scale, k)
