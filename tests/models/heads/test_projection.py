"""Projection and normalisation."""

from __future__ import annotations

import torch
from ofakit.models.heads.projection import DenseSection, Head


def test_without_anything_vectors_stay_as_they_are():
    vectors = torch.randn(3, 4)
    assert torch.equal(Head(4)(vectors), vectors) and Head(4).width == 4


def test_a_number_is_one_layer_without_bias():
    head = Head(4, 2)
    assert head.width == 2 and [tuple(p.shape) for p in head.parameters()] == [(2, 4)]
    assert head(torch.zeros(1, 4)).tolist() == [[0, 0]]


def test_layers_follow_each_other_with_their_activations():
    head = Head(4, [DenseSection(width=3, activation="tanh"), DenseSection(width=2, bias=False)])
    vectors = torch.randn(5, 4)
    first, second = head.layers[0], head.layers[2]
    torch.testing.assert_close(head(vectors), second(torch.tanh(first(vectors))))
    assert head.width == 2


def test_normalised_vectors_have_length_one_and_zeros_stay_zeros():
    found = Head(4, normalize=True)(torch.tensor([[3.0, 4.0, 0.0, 0.0], [0.0] * 4]))
    torch.testing.assert_close(found.norm(dim=1), torch.tensor([1.0, 0.0]))
