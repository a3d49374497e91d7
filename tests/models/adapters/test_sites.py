"""Where adapters can sit."""

from __future__ import annotations

from collections import Counter

import pytest
from ofakit.errors import UsageError
from ofakit.models.adapters.sites import sites_of, width_of
from torch import nn
from transformers import CLIPConfig, CLIPModel, MPNetConfig, MPNetModel, T5Config, T5Model

from tests.models.adapters.small import FAMILIES, WIDTH
from tests.models.encoders.kinds import CLIP

ATTENTION = ("query", "key", "value", "output")


def counted(model: nn.Module) -> Counter:
    return Counter((site.stack, site.place, site.role) for site in sites_of(model))


@pytest.mark.parametrize("family", FAMILIES)
def test_every_layer_of_a_family(family):
    model = FAMILIES[family]()
    found = counted(model)
    stack = "transformer" if family == "distilbert" else "encoder"
    wanted = {(stack, "self_attention", role): 2 for role in ATTENTION}
    wanted |= {(stack, "feed_forward", role): 2 for role in ("inner", "output")}
    if family in ("bart", "ofa"):
        wanted |= {("decoder", place, role): count for (_, place, role), count in wanted.items()}
        wanted |= {("decoder", "cross_attention", role): 2 for role in ATTENTION}
    assert found == wanted
    assert {site.layer for site in sites_of(model)} == {0, 1}
    assert width_of(sites_of(model), stack) == WIDTH
    for site in sites_of(model):
        assert isinstance(model.get_submodule(site.path), nn.Linear)


def test_other_names():
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    assert sum(counted(MPNetModel(MPNetConfig(**sizes, vocab_size=30))).values()) == 6
    gated = T5Config(d_model=16, d_kv=8, d_ff=32, num_layers=1, num_heads=2, vocab_size=30,
                     feed_forward_proj="gated-gelu")  # fmt: skip
    found = counted(T5Model(gated))
    assert found["encoder", "feed_forward", "inner"] == 2 and found["decoder", "cross_attention", "output"] == 1
    towers = counted(CLIPModel(CLIPConfig(**{k: v for k, v in CLIP.items() if k != "model_type"})))
    assert {stack for stack, _, _ in towers} == {"text_model.encoder", "vision_model.encoder"}


def test_what_stands_around_a_network_is_part_of_the_name():
    pair = nn.ModuleDict({"query": FAMILIES["bert"](), "passage": FAMILIES["bert"]()})
    assert {site.stack for site in sites_of(pair)} == {"query.encoder", "passage.encoder"}
    with pytest.raises(UsageError, match="match none of the families bart, t5, bert, distilbert"):
        sites_of(nn.Sequential(nn.Linear(2, 2)))
