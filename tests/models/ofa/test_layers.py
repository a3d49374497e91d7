"""What layers share: dropout's probability, scale, gradient and seed; branches and layers that are dropped whole."""

import pytest
import torch
from ofakit.models.ofa.layers import drop_path, dropout, surviving_layers
from torch import nn


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_dropout_keeps_its_share_and_the_mean(dtype):
    torch.manual_seed(0)
    x = torch.ones(400, 500, dtype=dtype)
    y = dropout(x, 0.1)
    assert y.dtype == dtype and y.unique().numel() == 2
    share = (y == 0).double().mean().item()
    assert share == pytest.approx(0.1, abs=4 * (0.09 / x.numel()) ** 0.5)
    assert y.max().item() == pytest.approx(1 / 0.9, rel=4e-3 if dtype == torch.bfloat16 else 1e-4)
    rows = (y == 0).double().mean(1)
    assert rows.std().item() == pytest.approx((0.09 / 500) ** 0.5, rel=0.15)


def test_dropout_follows_the_seed_and_its_gradient_is_its_mask():
    x = torch.randn(7, 11, requires_grad=True)
    torch.manual_seed(3)
    y = dropout(x, 0.5)
    y.sum().backward()
    assert torch.equal(x.grad == 0, y == 0) and torch.allclose(x.grad[x.grad != 0], torch.tensor(2.0))
    torch.manual_seed(3)
    assert torch.equal(dropout(x, 0.5), y)
    assert not torch.equal(dropout(x, 0.5), y)


def test_drop_path_drops_whole_branches_and_keeps_the_mean():
    torch.manual_seed(0)
    y = drop_path(torch.ones(4000, 2, 3), 0.25).flatten(1)
    assert torch.equal(y, y[:, :1].expand_as(y))
    dropped = y[:, 0] == 0
    assert dropped.double().mean().item() == pytest.approx(0.25, abs=0.03)
    torch.testing.assert_close(y[~dropped], torch.full_like(y[~dropped], 1 / 0.75))


def test_layer_drop_leaves_out_its_share_and_only_in_training():
    torch.manual_seed(0)
    layers = nn.ModuleList(nn.Identity() for _ in range(4000))
    kept = surviving_layers(layers, 0.2, training=True)
    assert len(kept) / len(layers) == pytest.approx(0.8, abs=0.03)
    assert all(layers[index] is layer for index, layer in kept)
    assert surviving_layers(layers, 0.2, training=False) == surviving_layers(layers, 0.0, True) == [*enumerate(layers)]
