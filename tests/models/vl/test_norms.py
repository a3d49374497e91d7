"""The norms of both families."""

from __future__ import annotations

import torch
from ofakit.models.vl import VLConfig
from ofakit.models.vl.norms import RMSNorm, norm
from torch import nn


def test_t5_divides_by_the_root_of_the_mean_square():
    x = torch.randn(3, 8)
    layer = RMSNorm(8, 1e-6)
    nn.init.normal_(layer.weight)
    wanted = x / (x.pow(2).mean(-1, keepdim=True) + 1e-6).sqrt() * layer.weight
    torch.testing.assert_close(layer(x), wanted)
    assert layer(x.bfloat16()).dtype == torch.bfloat16


def test_each_family_has_its_own():
    assert isinstance(norm(VLConfig(model_type="t5")), RMSNorm)
    bart = norm(VLConfig(model_type="bart"))
    assert isinstance(bart, nn.LayerNorm) and bart.eps == 1e-5
