"""Learned factors."""

from __future__ import annotations

import torch
from ofakit.models.adapters import add_adapters
from torch.nn import functional as F

from tests.models.adapters.small import FAMILIES, made


def test_the_formula():
    layer = made("t5", "ia3").encoder.block[0].layer
    x = torch.randn(2, 32)
    key, net = layer[0].SelfAttention.k, layer[1].DenseReluDense.wo
    assert key.adapter.factors.all.weight.ne(1).all()
    torch.testing.assert_close(key(x), F.linear(x, key.weight) * key.adapter.factors.all.weight)
    z = torch.randn(2, 64)
    torch.testing.assert_close(net(z), F.linear(z * net.adapter.factors.all.weight, net.weight))


def test_where_factors_are():
    plain = add_adapters(FAMILIES["bart"](), {"type": "ia3"})
    names = {name.rpartition(".layers.")[2][2:] for name, _ in plain.named_parameters() if "adapter" in name}
    layers = ("self_attn.k_proj", "self_attn.v_proj", "encoder_attn.k_proj", "encoder_attn.v_proj", "fc2")
    assert names == {f"{layer}.adapter.factors.all.weight" for layer in layers}
    other = add_adapters(FAMILIES["bart"](), {"type": "ia3", "targets": ["query", "value"], "feed_forward": False})
    assert not any("k_proj.adapter" in name or "fc2.adapter" in name for name, _ in other.named_parameters())
