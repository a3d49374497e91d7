"""Weights of a low rank."""

from __future__ import annotations

import torch
from ofakit.models.adapters.low_rank import LowRankLinear

from tests.models.adapters.small import made


def test_the_formula():
    torch.manual_seed(0)
    layer = LowRankLinear(6, 4, 2)
    layer.bias.data.normal_()
    x = torch.randn(3, 6)
    torch.testing.assert_close(layer(x), x @ (layer.left @ layer.right) + layer.bias)
    assert torch.linalg.matrix_rank(layer.left @ layer.right) == 2


def test_both_halves_are_of_the_rank():
    adapter = made("bart", "low_rank").encoder.layers[0].fc2.adapter
    assert adapter.down.all.left.shape == (32, 1) and adapter.up.all.right.shape == (1, 32)
