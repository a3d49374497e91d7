"""A linear layer with an adapter."""

from __future__ import annotations

import torch
from ofakit.models.adapters.linear import Adapted, AdaptedLinear, Adapter, adapted_layers, put_on
from torch import nn


class Doubling(Adapter):
    def __init__(self) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(2.0))

    def before(self, x):
        return x + 1

    def after(self, x, y):
        return y * self.factor


def test_the_layer_keeps_its_weights_and_their_names():
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU())
    weight, x = model[0].weight, torch.randn(2, 3)
    plain = nn.functional.linear(x + 1, weight, model[0].bias) * 2
    adapted = put_on(model, "0", lambda linear: Doubling())
    assert isinstance(adapted, nn.Linear) and adapted.weight is weight
    assert list(model.state_dict()) == ["0.weight", "0.bias", "0.adapter.factor"]
    assert torch.equal(model[0](x), plain)
    assert torch.equal(Adapted(nn.Linear(3, 4).requires_grad_(False), Adapter())(x).isfinite(), plain.isfinite())
    assert adapted_layers(model) == {"0": adapted} and isinstance(adapted, AdaptedLinear)


def test_one_that_does_nothing_changes_nothing():
    linear = nn.Linear(3, 4, bias=False)
    x = torch.randn(2, 3)
    assert torch.equal(AdaptedLinear(linear, Adapter())(x), linear(x))
    assert torch.equal(Adapted(linear, Adapter())(x), linear(x))


def test_an_adapter_has_the_layers_type_and_place():
    model = nn.Sequential(nn.Linear(3, 4, dtype=torch.float64))
    with torch.device("meta"):
        model.append(nn.Linear(3, 4))
    assert put_on(model, "0", lambda linear: Doubling()).adapter.factor.dtype == torch.float64
    made = put_on(model, "1", lambda linear: Doubling())
    assert made.weight.device.type == "meta"
