"""Low-rank changes of weights."""

from __future__ import annotations

import torch
from ofakit.models.adapters import add_adapters
from torch.nn import functional as F

from tests.models.adapters.small import FAMILIES, made


def test_the_formula():
    layer = made("bart", "lora", ["a", "b"]).encoder.layers[0].self_attn.q_proj
    x = torch.randn(2, 3, 32)
    layer.adapter.a._choice.current = "b"
    change = layer.adapter.b.b.weight @ layer.adapter.a.b.weight * (32 / 8)
    torch.testing.assert_close(layer(x), F.linear(x, layer.weight + change, layer.bias))


def test_dropout_is_on_the_change_alone_and_in_training():
    model = add_adapters(FAMILIES["bart"](), {"type": "lora", "dropout": 0.5})
    layer, x = model.encoder.layers[0].self_attn.q_proj, torch.randn(40, 32)
    layer.adapter.train()
    assert torch.equal(layer(x), layer(x)), "the change is 0 at first"
    torch.nn.init.normal_(layer.adapter.b.all.weight)
    assert not torch.equal(layer(x), layer(x))
    layer.adapter.eval()
    assert torch.equal(layer(x), layer(x))


def test_targets_and_places():
    spec = {"type": "lora", "targets": ["output", "inner"], "places": ["feed_forward"]}
    model = add_adapters(FAMILIES["bert"](), spec)
    names = {name.partition("layer.0.")[2] for name, _ in model.named_parameters() if "adapter" in name}
    wanted = {f"{layer}.adapter.{half}.all.weight" for layer in ("intermediate.dense", "output.dense") for half in "ab"}
    assert names - {""} == wanted
