"""Layers that are computed again give the same gradient, to the bit, and keep less."""

from __future__ import annotations

import copy

import pytest
import torch
from ofakit.models.gradient_checkpointing import recompute_layers
from ofakit.models.ofa import vision
from ofakit.models.precision import autocast
from ofakit.trainers.memory_estimate import KeptForBackward

from tests.models.encoders.kinds import SMALL_BERT
from tests.models.ofa.small import UNEVEN, build, inputs
from tests.models.test_retriever import batch_of, made

LIVELY = {**UNEVEN, "encoder_drop_path_rate": 0.3, "decoder_drop_path_rate": 0.3, "attention_dropout": 0.1}


def loss_of(model, precision="fp32"):
    torch.manual_seed(5)
    with autocast("cpu", precision):
        return model(**inputs(4)).logits.float().square().mean()


def learnt(model, precision="fp32"):
    loss_of(model, precision).backward()
    return {name: weight.grad for name, weight in model.named_parameters() if weight.grad is not None}


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("thrifty", [True, False])
def test_gradients_and_statistics_are_the_same_to_the_bit(thrifty, precision, monkeypatch):
    monkeypatch.setattr(vision, "_keeps_little", lambda *_: thrifty)
    plain = build(**LIVELY, resnet_drop_path_rate=0.2).train()
    again = copy.deepcopy(plain)
    assert recompute_layers(again) == 5 + sum(map(len, vision.stages(plain.encoder.embed_images)))
    expected, found = learnt(plain, precision), learnt(again, precision)
    assert expected.keys() == found.keys()
    for name, gradient in expected.items():
        assert torch.equal(found[name], gradient), name
    assert again.state_dict().keys() == plain.state_dict().keys()
    for name, value in plain.named_buffers():
        assert torch.equal(dict(again.named_buffers())[name], value), name


def test_every_layer_runs_twice_in_training_and_once_otherwise():
    model = build().train()
    recompute_layers(model)
    runs = []
    model.encoder.layers[0].fc1.register_forward_hook(lambda *_: runs.append(1))
    loss_of(model).backward()
    assert len(runs) == 2
    with torch.no_grad():
        loss_of(model)
    loss_of(model.eval()).backward()
    assert len(runs) == 4


def test_less_is_kept_and_a_copy_for_inference_writes_the_same():
    model = build(d_model=64, encoder_layers=6, decoder_layers=6).train()
    kept = {}
    for name in ("plain", "again"):
        count = KeptForBackward(model)
        with count.counting():
            loss_of(model).backward()
        kept[name] = count.peak
        recompute_layers(model)
    assert kept["again"] < 0.6 * kept["plain"]
    fast = model.prepare_for_inference("fp32")
    with torch.no_grad():
        torch.testing.assert_close(fast(**inputs()).logits, model.eval()(**inputs()).logits)


def test_layers_of_hugging_face_do_it_their_own_way():
    model, readings = made(encoder={**SMALL_BERT, "projection": 8})
    batch, found = batch_of(readings, "query"), []
    model.train()
    for _ in range(2):
        torch.manual_seed(5)
        model.zero_grad()
        model.embed("query", batch, ("text",)).square().sum().backward()
        found.append({name: weight.grad for name, weight in model.named_parameters() if weight.grad is not None})
        assert recompute_layers(model) > 0
    assert all(torch.equal(found[1][name], gradient) for name, gradient in found[0].items())
