"""LoRA and (IA)³ by peft, beside our own."""

from __future__ import annotations

import copy

import pytest
import torch
from ofakit.errors import UsageError
from ofakit.models.adapters import add_adapters, load_adapter, merge_adapters, save_adapter, trainable_share
from ofakit.models.adapters._peft import BASE, insert_by_peft, peft_layers
from ofakit.models.adapters.linear import adapted_layers
from torch import nn

from tests.models.adapters.small import FAMILIES, states, stir

peft = pytest.importorskip("peft")
KINDS = {"lora": {"type": "lora", "rank": 4, "alpha": 8, "dropout": 0.0}, "ia3": {"type": "ia3"}}


def pair(family, kind):
    """Our own and peft's adapters with the same weights, on the same network."""
    torch.manual_seed(0)
    base = FAMILIES[family]()
    ours, theirs = (
        add_adapters(copy.deepcopy(base), {**KINDS[kind], "library": library}).eval() for library in ("ofakit", "peft")
    )
    stir(ours)
    layers = peft_layers(theirs)
    assert layers.keys() == adapted_layers(ours).keys()
    for name, layer in adapted_layers(ours).items():
        other, adapter = layers[name], layer.adapter
        if kind == "lora":
            other.lora_A["default"].weight.data.copy_(adapter.a.all.weight)
            other.lora_B["default"].weight.data.copy_(adapter.b.all.weight)
        else:
            values = other.ia3_l["default"]
            values.data.copy_(adapter.factors.all.weight.view(values.shape))
    return ours, theirs


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("family", ["bert", "distilbert", "t5", "bart"])
def test_the_numbers_and_what_learns_are_the_same(family, kind):
    ours, theirs = pair(family, kind)
    assert trainable_share(ours) == trainable_share(theirs)
    found = [states(model) for model in (ours, theirs)]
    torch.testing.assert_close(*found, atol=1e-5, rtol=1e-5)
    gradients = []
    for model, state in zip((ours, theirs), found, strict=True):
        state.square().mean().backward()
        gradients.append(sum(p.grad.square().sum() for p in model.parameters() if p.grad is not None))
    torch.testing.assert_close(*gradients)
    with torch.no_grad():
        torch.testing.assert_close(states(merge_adapters(theirs)), found[0], atol=1e-5, rtol=1e-4)
    assert list(theirs.state_dict()) == list(FAMILIES[family]().state_dict())


@pytest.mark.parametrize("kind", KINDS)
def test_they_are_saved_alone_and_come_back(kind, tmp_path):
    _, theirs = pair("bert", kind)
    save_adapter(theirs, tmp_path)
    torch.manual_seed(0)
    again = load_adapter(FAMILIES["bert"](), tmp_path).eval()
    assert torch.equal(states(again), states(theirs))
    assert any(BASE in name for name in again.state_dict())


def test_what_peft_cannot_is_refused(monkeypatch):
    spec = {"type": "lora", "library": "peft"}
    with pytest.raises(UsageError, match="does not support separate adapters per task"):
        add_adapters(FAMILIES["bert"](), spec, ["a", "b"])
    with pytest.raises(UsageError, match="is not in one; leave out library"):
        add_adapters(FAMILIES["ofa"](), spec)
    monkeypatch.setitem(__import__("sys").modules, "peft", None)
    with pytest.raises(UsageError, match=r"pip install 'ofakit\[adapters\]'"):
        insert_by_peft(nn.Linear(1, 1), [], None, "LoraConfig")
