"""The policy-gradient loss of given sequences, and their log-probabilities.

    L = sum_it [ -A_i log p(y_it) + kl_weight (exp(d_it) - d_it - 1) ],    d_it = log q(y_it) - log p(y_it)

A is a sequence's advantage, q the starting model. The second part estimates KL(p | q) without bias and is never
negative (the estimator k3 of Schulman, "Approximating KL Divergence", 2020, http://joschu.net/blog/kl-approx.html).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ofakit.objectives._projection import projected_loss, smoothed_loss, target_places
from ofakit.objectives.cross_entropy import token_losses

__all__ = ["decoder_states", "policy_loss", "sequence_log_probs"]


def policy_loss(
    hidden: Tensor,
    weight: Tensor,
    target: Tensor,
    advantage: Tensor,
    scale: float = 1.0,
    reference: Tensor | None = None,
    kl_weight: float = 0.0,
    bias: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """The loss of the tokens of all sequences, summed; logits exist for one chunk of tokens at a time.

    Args:
        hidden: (N, d) states that have a target.
        weight: (V, d) output embedding.
        target: (N,) int64.
        advantage: (N,) advantage of each token's sequence.
        scale: Factor on both results.
        reference: (N,) log-probabilities of the targets under the starting model.
        kl_weight: Weight of the divergence from it.
        bias: (V,), added to the logits, or None.

    Returns:
        The loss, differentiable in `hidden` and `weight`, and the sum of the negative log-likelihoods, which is not.

    >>> states = torch.zeros(1, 2, requires_grad=True)
    >>> loss, _ = policy_loss(states, torch.eye(2), torch.tensor([0]), torch.tensor([2.0]))
    >>> loss.backward(); round(loss.item(), 4), states.grad.tolist()
    (1.3863, [[-1.0, 1.0]])
    """

    def gradient(logits: Tensor, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        _, nll, slope = smoothed_loss(logits, target[rows], 0.0)
        factor = advantage[rows].to(nll.dtype)
        loss = factor * nll
        if reference is not None and kl_weight:
            distance = reference[rows].to(nll.dtype) + nll
            loss = loss + kl_weight * (distance.expm1() - distance)
            factor = factor + kl_weight * distance.expm1()
        return loss.sum(), nll.sum(), slope.mul_(factor[:, None])

    return projected_loss(hidden, weight, gradient, len(target), scale, bias)


def decoder_states(model: Any, batch: Mapping[str, Tensor], decoder_input_ids: Tensor) -> Tensor:
    """Encode each image once and decode each of its sequences.

    Args:
        model: A model that generates.
        batch: The inputs of B examples.
        decoder_input_ids: (B * N, U), the sequences of an image in adjacent rows.

    Returns:
        (B * N, U, d) normalised states.
    """
    encoded = model.encode(**model.encoder_inputs(batch))
    images = len(batch["input_ids"])
    rows = torch.arange(images, device=decoder_input_ids.device)
    repeated = encoded.select(rows.repeat_interleave(len(decoder_input_ids) // images))
    return model.decode(decoder_input_ids=decoder_input_ids, encoder_outputs=repeated)


@torch.no_grad()
def sequence_log_probs(
    model: Any, batch: Mapping[str, Tensor], decoder_input_ids: Tensor, target: Tensor, pad_token_id: int
) -> Tensor:
    """A model's log-probabilities of given sequences, token by token, in its current mode.

    Args:
        model: A model that generates.
        batch: As in `decoder_states`.
        decoder_input_ids: (B * N, U).
        target: (B * N, U), padded.
        pad_token_id: The id that it is padded with.

    Returns:
        (B * N, U) log-probabilities, 0 at padding.
    """
    there = target_places(target, pad_token_id)
    hidden = decoder_states(model, batch, decoder_input_ids)[there]
    nll = token_losses(hidden, model.output_embedding, target[there], 0.0, model.output_bias)[1]
    log_probs = nll.new_zeros(target.shape)
    log_probs[there] = -nll
    return log_probs
