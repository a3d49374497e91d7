"""What every kind of adapter has."""

from __future__ import annotations

import pytest
import torch
from ofakit.models.adapters import ADAPTERS
from ofakit.models.adapters.base import initialize
from pydantic import ValidationError
from torch import nn


@pytest.mark.parametrize("name", ADAPTERS.names())
def test_every_kind_has_the_common_keys_and_refuses_others(name):
    kind = ADAPTERS.get(name)
    made = kind()
    assert made.tasks is None and made.visual and not made.biases and made.also == []
    assert made.layer_norms == (name in ("bottleneck", "compacter", "hyperformer", "low_rank"))
    assert kind(**made.model_dump(mode="json")) == made
    for wrong in ({"taks": []}, {"tasks": []}, {"biases": "perhaps"}):
        with pytest.raises(ValidationError):
            kind(**wrong)


def test_initialisation_draws_linear_layers_and_embeddings():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(200, 200), nn.LayerNorm(200), nn.Embedding(100, 50))
    before = net[0].weight.clone()
    initialize(net, None)
    assert torch.equal(net[0].weight, before)
    initialize(net, 0.01)
    assert net[0].weight.std().item() == pytest.approx(0.01, rel=0.05) and not net[0].bias.any()
    assert net[2].weight.std().item() == pytest.approx(0.01, rel=0.05) and torch.equal(net[1].weight, torch.ones(200))
