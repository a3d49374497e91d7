"""OFA with adapters on the layers that its fast ways look into."""

from __future__ import annotations

import copy

import pytest
import torch
from ofakit.errors import UsageError
from ofakit.models.adapters import add_adapters, merge_adapters
from ofakit.models.generation import generate
from ofakit.models.ofa import layers
from ofakit.models.ofa.checkpoints import save_fairseq, save_huggingface
from torch.nn import functional as F

from tests.models.adapters.small import KINDS, made, states, stir
from tests.models.ofa.small import build, inputs

LORA = {"type": "lora", "targets": ["query", "key", "value", "inner", "output"], "dropout": 0.0}


def everywhere():
    torch.manual_seed(0)
    model = add_adapters(build(), LORA).eval()
    stir(model)
    return model


@pytest.mark.parametrize("kind", [*KINDS, "everywhere"])
def test_the_feed_forward_net_that_is_computed_twice_gives_the_same(kind, monkeypatch):
    model = everywhere() if kind == "everywhere" else made("ofa", kind)
    gradients = []
    for way in ("twice", "once"):
        if way == "once":
            monkeypatch.setattr(layers, "norm_linear", lambda y, f, norm, w, b: F.linear(f(y, *norm), w, b))
        model.zero_grad()
        states(model).square().mean().backward()
        gradients.append({n: p.grad for n, p in model.named_parameters() if p.grad is not None})
    assert gradients[0].keys() == gradients[1].keys() and len(gradients[0]) > 10
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradient, gradients[1][name], atol=1e-7, rtol=1e-5)


@pytest.mark.parametrize("kind", [*KINDS, "everywhere"])
def test_gains_and_adapters_do_not_change_places(kind):
    """Few states, many states and a projection with the gains in it give the same."""
    model = everywhere() if kind == "everywhere" else made("ofa", kind)
    attention = model.encoder.layers[0].self_attn
    attention.c_attn.data.uniform_(0.5, 2)
    heads = torch.randn(1, 4, 40, 8)
    with torch.no_grad():
        gained = heads * attention.c_attn[None, :, None, None]
        wanted = attention.out_proj(gained.transpose(1, 2).flatten(2))
        torch.testing.assert_close(attention.combine(heads), wanted, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(attention.combine(heads[:, :, :3]), wanted[:, :3], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", [*KINDS, "everywhere"])
def test_a_model_prepared_for_inference_gives_the_same(kind):
    model = everywhere() if kind == "everywhere" else made("ofa", kind)
    given = {name: value for name, value in inputs().items() if name != "decoder_input_ids"}
    fast, half = model.prepare_for_inference(), model.prepare_for_inference("bf16")
    with torch.no_grad():
        wanted = model.encode(**given).last_hidden_state
        torch.testing.assert_close(fast.encode(**given).last_hidden_state, wanted, atol=3e-5, rtol=1e-4)
        assert (half.encode(**given).last_hidden_state.float() - wanted).abs().max() < 0.2
    found = [
        [hypotheses[0].tokens for hypotheses in generate(m, given, num_beams=3, max_length=8)] for m in (model, fast)
    ]
    assert found[0] == found[1]


def test_the_formats_of_others_refuse_adapters_until_they_are_merged(tmp_path):
    model = everywhere()
    with pytest.raises(UsageError, match="adapters of type 'lora' cannot be written for Hugging Face"):
        save_huggingface(model, tmp_path)
    with pytest.raises(UsageError, match="cannot be written for fairseq"):
        save_fairseq(model, tmp_path / "x.pt")
    assert not [*tmp_path.iterdir()]
    save_huggingface(merge_adapters(copy.deepcopy(model)), tmp_path)


def test_a_directory_brings_its_adapters_back(tmp_path):
    model = made("ofa", "hyperformer")
    model.save_pretrained(tmp_path)
    again = type(model).from_pretrained(tmp_path)
    assert torch.equal(states(again), states(model)) and again.config.adapter == model.config.adapter
    assert not again.encoder.layers[0].fc1.weight.requires_grad
    plain = build()
    plain.save_pretrained(tmp_path / "plain")
    assert '"adapter"' not in (tmp_path / "plain" / "config.json").read_text()
