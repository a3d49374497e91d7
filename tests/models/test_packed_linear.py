"""Packed layers give what the layers give, and only those are packed that may be."""

from __future__ import annotations

import pytest
import torch
from ofakit.models import packed_linear
from ofakit.models.adapters.linear import Adapted, AdaptedLinear, Adapter
from ofakit.models.packed_linear import PackedLinear, pack_linear_layers, packs
from torch import nn
from torch.nn import functional as F

CPU = torch.device("cpu")


class Half(nn.Module):
    """A feed-forward layer, as in encoder and decoder."""

    def __init__(self, activation=F.gelu):
        super().__init__()
        self.fc1, self.fc2, self.activation = nn.Linear(16, 32), nn.Linear(32, 16), activation

    def forward(self, x):
        return self.fc2(self.activation(self.fc1(x)))


@pytest.fixture(autouse=True)
def small_ones_too(monkeypatch):
    if not packs(CPU, torch.float32):
        pytest.skip("this build of PyTorch has no oneDNN operators for linear layers")
    monkeypatch.setattr(packed_linear, "SMALL_FP32", 0)


@pytest.mark.parametrize("activation", [F.gelu, F.relu, nn.SiLU()])
def test_a_feed_forward_layer(activation):
    half, x = Half(activation).eval(), torch.randn(2, 5, 16)
    with torch.inference_mode():
        wanted = half(x)
        pack_linear_layers(half)
        assert isinstance(half.fc1, PackedLinear) and isinstance(half.fc2, PackedLinear)
        assert isinstance(half.activation, nn.Identity) == (activation is F.gelu)
        torch.testing.assert_close(half(x), wanted, atol=1e-5, rtol=1e-5)


def test_what_is_to_stay_stays():
    half = Half()
    pack_linear_layers(half, {half.fc2})
    assert isinstance(half.fc1, PackedLinear) and type(half.fc2) is nn.Linear
    inner = nn.ModuleDict({"own": Half(), "theirs": Half()})
    pack_linear_layers(inner, {*inner["theirs"].modules()})
    assert isinstance(inner["own"].fc2, PackedLinear) and type(inner["theirs"].fc2) is nn.Linear


def test_an_adapter_stays_on_its_layer():
    class Doubles(Adapter):
        def after(self, x, y):
            return 2 * y

    half, x = Half().eval(), torch.randn(3, 16)
    half.fc1 = AdaptedLinear(half.fc1, Doubles())
    with torch.inference_mode():
        wanted = half(x)
        pack_linear_layers(half)
        assert isinstance(half.fc1, Adapted) and half.activation is F.gelu
        torch.testing.assert_close(half(x), wanted, atol=1e-5, rtol=1e-5)


def test_what_is_not_packed():
    assert not packs(CPU, torch.float16) and not packs(torch.device("meta"), torch.float32)
