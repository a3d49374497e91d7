"""Steps that compute again beside the plain ones: the same results, gradients and running statistics."""

import copy

import pytest
import torch
from ofakit.models import onednn, recompute
from ofakit.models.ofa import vision
from ofakit.models.ofa.vision import build_resnet, visual_features
from ofakit.models.recompute import biased_attention, norm_linear, recomputed
from torch.nn import functional as F


def tensors(*shapes):
    generator = torch.Generator().manual_seed(0)
    made = (torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes)
    return [tensor.requires_grad_() for tensor in made]


@pytest.mark.parametrize("padded", [False, True])
def test_attention(padded):
    q, k, v, bias = tensors((3, 2, 4, 8), (3, 2, 5, 8), (3, 2, 5, 8), (2, 4, 5))
    padding = None
    if padded:
        padding = torch.zeros(3, 1, 1, 5, dtype=torch.float64)
        padding[1, ..., 3:] = torch.finfo(torch.float64).min
    mask = bias[None] if padding is None else bias[None] + padding
    plain = ((q @ k.transpose(-1, -2)) * 0.3 + mask).softmax(-1) @ v
    torch.testing.assert_close(biased_attention(q, k, v, bias, padding, 0.3), plain)
    assert torch.autograd.gradcheck(lambda *t: biased_attention(*t, padding, 0.3), (q, k, v, bias))


def test_attention_to_nothing_ahead():
    q, k, v, bias = tensors((1, 1, 3, 4), (1, 1, 3, 4), (1, 1, 3, 4), (1, 3, 3))
    ahead = torch.ones(3, 3, dtype=torch.bool).triu(1)
    biased_attention(q, k, v, bias.masked_fill(ahead, -torch.inf), None, 1.0).sum().backward()
    assert all(torch.isfinite(t.grad).all() for t in (q, k, v, bias))
    assert (bias.grad[0][ahead] == 0).all()


def test_norm_and_linear():
    x, gain, shift, weight, bias = tensors((2, 3, 6), (6,), (6,), (4, 6), (4,))

    def function(t, gain, shift):
        return F.layer_norm(F.gelu(t), (6,), gain, shift)

    plain = F.linear(function(x, gain, shift), weight, bias)
    torch.testing.assert_close(norm_linear(x, function, (gain, shift), weight, bias), plain)
    assert torch.autograd.gradcheck(
        lambda x, g, s, w, b: norm_linear(x, function, (g, s), w, b), tensors((2, 3, 6), (6,), (6,), (4, 6), (4,))
    )


def test_recomputed_respects_what_needs_no_gradient():
    x, weight = tensors((2, 3), (3, 3))
    fixed = x.detach()
    recomputed(lambda a, b: (a @ b).tanh(), fixed, weight).sum().backward()
    assert fixed.grad is None
    expected = torch.autograd.grad((x @ weight).tanh().sum(), weight)[0]
    torch.testing.assert_close(weight.grad, expected)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("by_onednn", [True, False])
def test_a_convolution_of_single_pixels_keeps_the_layout(by_onednn, stride, monkeypatch):
    monkeypatch.setattr(onednn, "onednn_is_faster", lambda: by_onednn and onednn._works())
    monkeypatch.setattr(onednn, "SMALL", 0)
    images, weight = torch.randn(2, 8, 6, 6), torch.randn(4, 8, 1, 1, requires_grad=True)
    images = images.contiguous(memory_format=torch.channels_last).requires_grad_()
    one, other = recompute.convolve(images, weight, stride), F.conv2d(images, weight, None, stride)
    torch.testing.assert_close(one, other)
    found, expected = (torch.autograd.grad(y.square().sum(), (images, weight)) for y in (one, other))
    torch.testing.assert_close(found, expected)
    for states in (one, found[0]):
        assert states.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_the_backbone(name, monkeypatch):
    torch.manual_seed(0)
    thrifty = build_resnet(name).double().train()
    plain = copy.deepcopy(thrifty)
    images = torch.randn(2, 3, 48, 48, dtype=torch.float64)
    one = visual_features(thrifty, images)
    monkeypatch.setattr(vision, "_keeps_little", lambda *_: False)
    other = visual_features(plain, images)
    torch.testing.assert_close(one, other)
    for features in (one, other):
        features.square().mean().backward()
    for (key, found), expected in zip(thrifty.named_parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(found.grad, expected.grad, rtol=1e-6, atol=1e-9, msg=key)
    for (key, found), expected in zip(thrifty.named_buffers(), plain.buffers(), strict=True):
        torch.testing.assert_close(found, expected, msg=key)
