"""Weights to begin with have the spread of the original code."""

from __future__ import annotations

import pytest
import torch
from ofakit.models.vl import VLConfig, VLModel


def test_bart_draws_all_alike():
    torch.manual_seed(0)
    model = VLModel(VLConfig.from_size("bart-tiny", vocab_size=500, init_std=0.02))
    for weight in (model.shared.weight, model.encoder.layers[0].fc1.weight, model.decoder.embed_positions.weight):
        assert weight.std().item() == pytest.approx(0.02, rel=0.05)
    assert not model.encoder.layers[0].fc1.bias.any()


def test_t5_draws_by_width():
    torch.manual_seed(0)
    model = VLModel(VLConfig.from_size("t5-tiny", vocab_size=500))
    layer = model.encoder.layers[0]
    assert model.shared.weight.std().item() == pytest.approx(1, rel=0.05)
    assert layer.self_attn.q_proj.weight.std().item() == pytest.approx((256 * 64) ** -0.5, rel=0.05)
    assert layer.self_attn.k_proj.weight.std().item() == pytest.approx(256**-0.5, rel=0.05)
    assert layer.fc2.weight.std().item() == pytest.approx(1024**-0.5, rel=0.05)
