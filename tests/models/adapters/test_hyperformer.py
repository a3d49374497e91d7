"""Adapters whose weights nets make."""

from __future__ import annotations

import pytest
import torch
from ofakit.models.adapters import using_task
from torch.nn import functional as F

from tests.models.adapters.small import WIDTH, made


@pytest.mark.parametrize("kind", ["hyperformer", "hyperformer of one net"])
def test_the_formula(kind):
    model = made("bart", kind, ["vqa", "caption"])
    net, layer = model.adapter_set.nets["decoder"], model.decoder.layers[1].encoder_attn.out_proj
    parts = [model.adapter_set.task_vectors["caption"], net.layers.weight[1]]
    makers = net.makers["cross_attention"] if kind == "hyperformer" else net.makers["all"]
    if kind != "hyperformer":
        parts.append(net.places.weight[2])
    first, _, second = net.reader
    e = F.layer_norm(second(torch.relu(first(torch.cat(parts)))), (8,), net.norm.weight, net.norm.bias, eps=1e-6)
    made_of = {name: (maker.weight(e), maker.bias(e)) for name, maker in makers.items()}
    x = torch.randn(2, 3, WIDTH)
    y = z = F.linear(x, layer.weight, layer.bias)
    if "norm_before" in made_of:
        z = F.layer_norm(z, (WIDTH,), *made_of["norm_before"])
    z = F.gelu(F.linear(z, made_of["down"][0].view(4, WIDTH), made_of["down"][1]), approximate="tanh")
    z = F.linear(z, made_of["up"][0].view(WIDTH, 4), made_of["up"][1])
    if "norm_after" in made_of:
        z = F.layer_norm(z, (WIDTH,), *made_of["norm_after"])
    with using_task(model, "caption"):
        torch.testing.assert_close(layer(x), y + z)


def test_what_is_shared():
    names = [name for name, p in made("bart", "hyperformer", ["a", "b"]).named_parameters() if "adapter" in name]
    assert {name.split(".")[0] for name in names} == {"adapter_set"}
    assert [name for name in names if "task_vectors" in name] == [f"adapter_set.task_vectors.{task}" for task in "ab"]
    assert not any("nets.encoder.makers.cross_attention" in name for name in names)
    assert any("nets.decoder.makers.cross_attention" in name for name in names)
