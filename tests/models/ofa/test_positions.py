"""Buckets and biases of positions, by hand and against what stock checkpoints carry."""

import math

import pytest
import torch
from ofakit.errors import UsageError
from ofakit.models.ofa.positions import (
    MAX_POSITIONS,
    bias_table,
    image_buckets,
    image_distances,
    image_position_ids,
    position_bias,
    relative_bias,
    stock_image_table,
    text_positions,
    token_buckets,
)
from torch import nn


@pytest.mark.parametrize("bucket_size", [16, 256])
def test_near_distances_have_a_bucket_each_and_far_ones_share_by_the_logarithm(bucket_size):
    buckets, half = token_buckets(MAX_POSITIONS, bucket_size), bucket_size // 2
    middle = bucket_size - 1
    for distance in (0, 1, half - 1):
        assert buckets[500, 500 - distance] == middle + distance and buckets[500 - distance, 500] == middle - distance
    for distance in (half + 1, 2 * half, 400, MAX_POSITIONS - 1):
        steps = math.ceil(math.log(distance / half) / math.log((MAX_POSITIONS - 1) / half) * (half - 1) - 1e-6) + half
        assert buckets[MAX_POSITIONS - 1, MAX_POSITIONS - 1 - distance] == middle + steps, distance
    assert buckets.min() == 0 and buckets.max() == 2 * bucket_size - 2


def test_shorter_texts_have_the_buckets_of_longer_ones():
    assert torch.equal(token_buckets(7, 16), token_buckets(40, 16)[:7, :7])
    assert torch.equal(token_buckets(40, 16) + token_buckets(40, 16).t(), torch.full((40, 40), 30))


def test_buckets_can_be_trained_with_though_first_asked_for_in_inference():
    with torch.inference_mode():
        found = [token_buckets(3, 18), image_buckets(2, 3, 5), image_position_ids(2, 3, 5)]
    assert not any(buckets.is_inference() for buckets in found)


def test_patches_are_numbered_by_rows_of_the_table():
    assert image_position_ids(2, 3, 5).tolist() == [1, 2, 3, 6, 7, 8]


def test_image_buckets_are_offsets_in_the_plane():
    size, height, width = 5, 2, 3
    buckets = image_buckets(height, width, size)
    for query in range(6):
        for key in range(6):
            down, right = query // width - key // width, query % width - key % width
            assert buckets[query, key] == (down + size - 1) * (2 * size - 1) + right + size - 1


@pytest.mark.parametrize("function", [image_buckets, image_position_ids])
def test_too_many_patches_are_refused(function):
    with pytest.raises(UsageError, match="6 x 2 patches of 16 pixels is too large; .* positions for 5 x 5"):
        function(6, 2, 5)


def test_the_stock_table_holds_all_offsets_and_three_for_no_patch():
    size = 4
    table, rows = stock_image_table(size), image_distances(size)
    assert table.shape == (size**2 + 1, size**2 + 1) and rows == 7 * 7 + 3
    assert torch.equal(table[1:, 1:], image_buckets(size, size, size))
    assert [int(table[0, 0]), *{*table[0, 1:].tolist()}, *{*table[1:, 0].tolist()}] == [rows - 1, rows - 3, rows - 2]


def test_text_positions_begin_at_the_first_row_and_end_with_the_table():
    embedding = nn.Embedding(6, 4)
    assert torch.equal(text_positions(embedding, 5), embedding.weight[:5])
    with pytest.raises(UsageError, match="7 tokens is too long; the model has 6 positions"):
        text_positions(embedding, 7)
    with pytest.raises(UsageError, match="1025 tokens is too long; the model has 1024 positions"):
        text_positions(nn.Embedding(2000, 1), 1025)


def test_biases():
    table = torch.arange(10.0).view(5, 2)
    buckets = torch.tensor([[0, 4], [3, 1], [2, 2]])
    assert relative_bias(table, buckets).tolist() == [[[0, 8], [6, 2], [4, 4]], [[1, 9], [7, 3], [5, 5]]]
    q, k = torch.randn(3, 8), torch.randn(4, 8)
    found = position_bias(q, k, 2, 0.5)
    for head in range(2):
        part = slice(4 * head, 4 * head + 4)
        torch.testing.assert_close(found[head], 0.5 * q[:, part] @ k[:, part].t())
    tables = nn.ModuleList(nn.Embedding(3, 2) for _ in range(2))
    assert bias_table(tables, 1) is tables[1].weight
