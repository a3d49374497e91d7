"""Products by oneDNN are those of PyTorch, forward and backward; where it is not faster everything is as usual."""

from __future__ import annotations

import copy

import pytest
import torch
from ofakit.models import onednn
from ofakit.models.adapters.linear import AdaptedLinear, Adapter
from ofakit.models.onednn import OneDNNLinear, linear, product, use_onednn
from torch import nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode


@pytest.fixture
def used(monkeypatch):
    """As on a processor of AMD, for products of every size; the shapes of those that oneDNN computes."""
    if not onednn._works():
        pytest.skip("this build of PyTorch has no oneDNN product")
    monkeypatch.setattr(onednn, "onednn_is_faster", lambda: True)
    monkeypatch.setattr(onednn, "SMALL", 0)
    shapes, multiply = [], onednn._multiply

    def counted(a, weight, bias):
        shapes.append((*a.shape, len(weight)))
        return multiply(a, weight, bias)

    monkeypatch.setattr(onednn, "_multiply", counted)
    return shapes


@pytest.mark.parametrize("shape", [(7, 6), (2, 7, 6), (2, 3, 7, 6)])
@pytest.mark.parametrize("biased", [True, False])
@pytest.mark.parametrize("transposed", [True, False])
def test_a_linear_layer_and_its_gradients(used, shape, biased, transposed):
    torch.manual_seed(0)
    given = [torch.randn(*shape[:-2], 6, 7).mT if transposed else torch.randn(shape), torch.randn(5, 6)]
    given += [torch.randn(5)] if biased else []
    one, other = ([tensor.clone().requires_grad_() for tensor in given] for _ in range(2))
    found, expected = linear(*one), F.linear(*other)
    torch.testing.assert_close(found, expected)
    weights = torch.randn(expected.shape)
    (found * weights).sum().backward()
    (expected * weights).sum().backward()
    for a, b in zip(one, other, strict=True):
        torch.testing.assert_close(a.grad, b.grad)
    assert len(used) == 3


def test_what_learns_nothing_gets_no_gradient(used):
    x, weight = torch.randn(3, 4), torch.randn(2, 4, requires_grad=True)
    linear(x, weight).sum().backward()
    assert x.grad is None and used == [(3, 4, 2), (2, 3, 4)]
    with torch.no_grad():
        assert not linear(x, weight).requires_grad
    torch.testing.assert_close(torch.autograd.grad(linear(x, weight).sum(), weight)[0], x.sum(0).expand(2, 4))


def test_a_product_in_any_layout(used):
    a, b = torch.randn(4, 6), torch.randn(6, 5)
    for one, other in ((a, b), (b.t(), a.t()), (a.mT.contiguous().mT, b.mT.contiguous().mT), (a[:, ::2], b[::2])):
        torch.testing.assert_close(product(one, other), one @ other)
    assert len(used) == 4


def test_the_smaller_factor_is_copied(used):
    grad, x = torch.randn(90, 12), torch.randn(90, 3)
    found = product(grad.t(), x)
    torch.testing.assert_close(found, grad.t() @ x)
    assert used == [(3, 90, 12)] and found.is_contiguous()
    product(x.t(), grad)
    assert used[1] == (3, 90, 12)


def test_everything_else_is_left_to_pytorch(used, monkeypatch):
    x, weight = torch.randn(3, 4), torch.randn(2, 4)
    for dtype in (torch.float64, torch.bfloat16):
        torch.testing.assert_close(linear(x.to(dtype), weight.to(dtype)), F.linear(x.to(dtype), weight.to(dtype)))
    with torch.autocast("cpu", torch.bfloat16):
        assert linear(x, weight).dtype == torch.bfloat16
    torch.testing.assert_close(linear(x[0], weight), F.linear(x[0], weight))
    assert linear(x[:0], weight).shape == (0, 2)
    monkeypatch.setattr(onednn, "SMALL", 25)
    linear(x, weight)
    monkeypatch.setattr(onednn, "onednn_is_faster", lambda: False)
    linear(torch.randn(30, 4), weight), product(torch.randn(30, 4), weight.t())
    assert not [shape for shape in used if shape[0]]


def test_layers_change_their_class_alone(used):
    model = nn.Sequential(nn.Linear(4, 4), nn.Sequential(nn.ReLU(), AdaptedLinear(nn.Linear(4, 4), Adapter())))
    before, x = copy.deepcopy(model), torch.randn(3, 4)
    use_onednn(model)
    assert [type(model[0]), type(model[1][1])] == [OneDNNLinear, AdaptedLinear]
    assert model.state_dict().keys() == before.state_dict().keys()
    torch.testing.assert_close(model(x), before(x))
    assert len(used) == 3  # both layers, and the adapted one of before
    assert type(copy.deepcopy(model)[0]) is OneDNNLinear


def test_layers_of_another_device_stay(used):
    model = nn.Sequential(nn.Linear(4, 4, device="meta"))
    use_onednn(model)
    assert type(model[0]) is nn.Linear


def test_layers_stay_where_it_is_not_faster(monkeypatch):
    monkeypatch.setattr(onednn, "onednn_is_faster", lambda: False)
    model = nn.Sequential(nn.Linear(4, 4))
    use_onednn(model)
    assert type(model[0]) is nn.Linear


def test_operations_are_counted(used):
    x, weight = torch.randn(3, 4), torch.randn(2, 4, requires_grad=True)
    with FlopCounterMode(display=False) as counter:
        linear(x, weight).sum().backward()
    assert counter.get_total_flops() == 2 * 2 * 3 * 4 * 2
