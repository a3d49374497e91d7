"""Attention against the formula, head by head, and its two ways of multiplying the gains in."""

import pytest
import torch
from ofakit.models.ofa import attention
from ofakit.models.ofa.attention import Attention, attend, padding_bias


def random(*shape):
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(sum(shape)))


def formula(query, key, value, bias, padding, scale):
    scores = torch.einsum("bhqd,bhkd->bhqk", query, key) * scale
    scores = scores if bias is None else scores + bias
    scores = scores if padding is None else scores + padding
    return torch.einsum("bhqk,bhkd->bhqd", scores.softmax(-1), value)


PADDED = torch.tensor([[False, False, False, True], [False, True, True, True]])


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("bias", [None, (3, 5, 4), (2, 3, 5, 4)])
@pytest.mark.parametrize("learns", [False, True])
def test_the_formula(padded, bias, learns, monkeypatch):
    query, key, value = random(2, 3, 5, 6), random(2, 3, 4, 6) + 0.1, random(2, 3, 4, 6)
    bias = None if bias is None else random(*bias).requires_grad_(learns)
    padding = padding_bias(PADDED, torch.float64) if padded else None
    used = []
    plain = attention.biased_attention
    monkeypatch.setattr(attention, "biased_attention", lambda *args: used.append(1) or plain(*args))
    found = attend(query, key, value, bias, padding, 0.4, 0.0)
    torch.testing.assert_close(found, formula(query, key, value, bias, padding, 0.4))
    assert bool(used) == (learns and bias is not None and bias.dim() == 3)


def test_padding_gets_the_lowest_number_of_its_type():
    found = padding_bias(PADDED, torch.float16)
    assert found.shape == (2, 1, 1, 4) and found.dtype == torch.float16
    assert found[1, 0, 0].tolist() == [0.0, -65504.0, -65504.0, -65504.0]


def test_what_is_padding_has_no_influence():
    query, key, value = random(2, 3, 5, 6), random(2, 3, 4, 6), random(2, 3, 4, 6)
    other = value.masked_fill(PADDED[:, None, :, None], 100.0)
    padding = padding_bias(PADDED, torch.float64)
    one, two = (attend(query, key, v, None, padding, 1.0, 0.0) for v in (value, other))
    torch.testing.assert_close(one, two)


@pytest.fixture
def layer():
    torch.manual_seed(0)
    layer = Attention(12, 3, 0.0, scale_factor=2.0).double()
    with torch.no_grad():
        layer.c_attn.copy_(torch.tensor([0.5, 1.0, 2.0]))
    return layer


def test_the_scale_counts_the_two_terms_of_the_scores(layer):
    assert layer.scale == pytest.approx((4 * 2.0) ** -0.5)


@pytest.mark.parametrize("length", [2, 30])
def test_heads_are_weighed_by_their_gains_whichever_way_is_cheaper(layer, length):
    x = random(1, length, 12)
    heads = formula(layer.split(layer.q_proj(x)), *layer.keys_values(x), None, None, layer.scale)
    wanted = layer.out_proj((heads * layer.c_attn.view(1, 3, 1, 1)).transpose(1, 2).flatten(2))
    torch.testing.assert_close(layer(x), wanted)


def test_a_memory_is_attended_to(layer):
    x, memory = random(2, 5, 12), random(2, 4, 12)
    padding, bias = padding_bias(PADDED, torch.float64), random(3, 5, 4)
    heads = formula(layer.split(layer.q_proj(x)), *layer.keys_values(memory), bias, padding, layer.scale)
    torch.testing.assert_close(layer(x, memory, bias, padding), layer.combine(heads))


def test_gains_folded_into_the_projection_give_the_same(layer):
    x = random(1, 5, 12)
    wanted = layer(x)
    layer.out_proj.weight.data *= layer.c_attn.repeat_interleave(4)
    layer.c_attn = None
    torch.testing.assert_close(layer(x), wanted)


def test_weights_are_dropped_in_training_alone():
    layer, x = Attention(12, 3, 0.5, 2.0), torch.randn(1, 6, 12)
    assert not torch.equal(layer(x), layer(x))
    layer.eval()
    assert torch.equal(layer(x), layer(x))
