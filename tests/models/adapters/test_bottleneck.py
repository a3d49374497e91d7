"""Bottleneck adapters."""

from __future__ import annotations

import pytest
import torch
from ofakit.models.adapters import add_adapters
from ofakit.models.adapters.bottleneck import activation_named, narrow_width
from torch.nn import functional as F

from tests.models.adapters.small import FAMILIES, KINDS, WIDTH, made


def site(model):
    return model.get_submodule("encoder.layers.0.fc2")


def test_the_formula():
    layer = site(made("bart", "bottleneck"))
    adapter, x = layer.adapter, torch.randn(2, 3, 64)
    y = F.linear(x, layer.weight, layer.bias)
    down, up = adapter.down.all, adapter.up.all
    assert down.weight.shape == (WIDTH // 8, WIDTH)
    z = F.linear(
        F.gelu(F.linear(adapter.norm_before(y), down.weight, down.bias), approximate="tanh"), up.weight, up.bias
    )
    torch.testing.assert_close(layer(x), y + adapter.norm_after(z))


def test_the_shared_half_is_one_for_all_tasks():
    adapter = site(made("bart", "half-shared", ["a", "b"])).adapter
    assert [name for name, _ in adapter.up.named_children()] == ["all"]
    assert [name for name, _ in adapter.down.named_children()] == ["a", "b"]


def test_places_and_width():
    model = add_adapters(FAMILIES["bart"](), {"type": "bottleneck", "places": ["cross_attention"], "reduction": 4})
    names = [name for name, _ in model.named_modules() if name.endswith(".adapter")]
    assert names == [f"decoder.layers.{i}.encoder_attn.out_proj.adapter" for i in range(2)]
    assert model.decoder.layers[0].encoder_attn.out_proj.adapter.down.all.out_features == WIDTH // 4


def test_it_starts_near_the_identity_or_as_pytorch_draws():
    near, plain = (
        site(add_adapters(FAMILIES["bart"](), {"type": "bottleneck", "init_std": std})).adapter for std in (0.02, None)
    )
    y = torch.randn(5, WIDTH)
    assert (near.after(y, y) - y).abs().max() < 0.05 < (plain.after(y, y) - y).abs().max()
    assert not near.down.all.bias.any() and plain.down.all.bias.any()


@pytest.mark.parametrize("name", ["gelu_new", "gelu", "relu", "silu"])
def test_activations(name):
    x = torch.linspace(-3, 3, 9)
    wanted = {
        "gelu": 0.5 * x * (1 + torch.erf(x / 2**0.5)), "relu": x.clamp(min=0), "silu": x * x.sigmoid(),
        "gelu_new": 0.5 * x * (1 + torch.tanh((2 / torch.pi) ** 0.5 * (x + 0.044715 * x**3))),
    }[name]  # fmt: skip
    torch.testing.assert_close(activation_named(name)(x), wanted)
    assert made("bart", "bottleneck") is not None and KINDS["bottleneck"]["norm_after"]
    assert narrow_width(33, 8) == 4
