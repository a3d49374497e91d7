"""The policy-gradient loss of given sequences by hand and by the formula, and their log-probabilities."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from ofakit.objectives._policy import decoder_states, policy_loss, sequence_log_probs
from ofakit.objectives.scst import advantages, shifted_right

from .conftest import make_sequences


def test_three_token_toy_by_hand():
    """Two one-token captions over three tokens, uniform at first: d loss / d logits = A (p - onehot) / tokens."""
    logits = torch.zeros(2, 3, dtype=torch.float64, requires_grad=True)
    advantage = torch.tensor(advantages([[3.0, 1.0]])[0])
    loss, nll = policy_loss(logits, torch.eye(3, dtype=torch.float64), torch.tensor([0, 2]), advantage, 1 / 2)
    loss.backward()
    third = 1 / 3
    expected = [[-2 / 3, third, third], [-third, -third, 2 / 3]]  # advantages 2 and -2, two tokens
    np.testing.assert_allclose(logits.grad.numpy(), expected, atol=1e-12)
    assert loss.item() == pytest.approx(0.0, abs=1e-12) and nll.item() == pytest.approx(np.log(3))


def test_gradient_with_divergence_is_that_of_the_formula():
    generator = torch.Generator().manual_seed(3)
    hidden, weight = (torch.randn(n, 5, dtype=torch.float64, generator=generator) for n in (6, 9))
    target = torch.randint(9, (6,), generator=generator)
    advantage, reference = torch.randn(2, 6, dtype=torch.float64, generator=generator)
    hidden.requires_grad_()
    loss, _ = policy_loss(hidden, weight, target, advantage, 0.25, reference, 0.3)
    (found,) = torch.autograd.grad(loss, hidden)
    log_p = (hidden @ weight.t()).log_softmax(-1).gather(1, target[:, None])[:, 0]
    distance = reference - log_p
    expected = 0.25 * (-advantage * log_p + 0.3 * (distance.exp() - distance - 1)).sum()
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(found, torch.autograd.grad(expected, hidden)[0])


def test_a_weight_of_nothing_leaves_the_divergence_out():
    hidden, weight, target = torch.randn(3, 4), torch.randn(5, 4), torch.tensor([0, 3, 4])
    advantage, reference = torch.tensor([1.0, -2.0, 0.5]), torch.full((3,), -9.0)
    plain, weighted = (policy_loss(hidden, weight, target, advantage, 1.0, r, 0.0) for r in (None, reference))
    torch.testing.assert_close(weighted, plain, rtol=0, atol=0)
    assert policy_loss(hidden, weight, target, advantage, 1.0, reference, 0.5)[0] > plain[0]


def test_sequences_of_an_image_are_decoded_beside_each_other_from_one_encoding(bundle, batch):
    bundle.model.eval()
    previous, seen = shifted_right(make_sequences(12), 0, 2, 1), []
    handle = bundle.model.encoder.register_forward_pre_hook(lambda _, inputs: seen.append(len(inputs[0])))
    found = decoder_states(bundle.model, batch, previous)
    handle.remove()
    assert seen == [4]
    for image in range(4):
        own = {name: value[image : image + 1] for name, value in batch.items()}
        rows = slice(3 * image, 3 * image + 3)
        torch.testing.assert_close(found[rows], decoder_states(bundle.model, own, previous[rows]), atol=1e-5, rtol=1e-4)


def test_sequence_log_probs_are_those_of_the_logits(bundle, batch):
    bundle.model.eval()
    target = make_sequences(12)
    previous = shifted_right(target, 0, 2, 1)
    found = sequence_log_probs(bundle.model, batch, previous, target, 1)
    logits = decoder_states(bundle.model, batch, previous) @ bundle.model.output_embedding.t()
    expected = logits.log_softmax(-1).gather(2, target[..., None])[..., 0].masked_fill(target == 1, 0)
    torch.testing.assert_close(found, expected.detach(), atol=1e-5, rtol=1e-5)
