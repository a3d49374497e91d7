"""Cross entropy with label smoothing, dropping of the worst tokens, and R-Drop.

    {"type": "cross_entropy", "label_smoothing": 0.1, "drop_worst_ratio": 0.2, "drop_worst_after": 6000}

Logits are computed only at the positions of targets, a chunk of tokens at a time, together with their gradient: no
tensor of size tokens x vocabulary outlives its chunk.
Sources: ModelScope 1.40.2, `trainers/multi_modal/ofa/ofa_trainer_utils.py`; label smoothing as in fairseq, the mass
spread over the other V - 1 tokens; R-Drop, Liang et al. 2021, https://arxiv.org/abs/2106.14448.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ofakit.errors import UsageError
from ofakit.models.base import Seq2SeqModel
from ofakit.models.precision import compute_dtype
from ofakit.objectives._projection import chunks_of_rows, project, projected_loss, smoothed_loss, target_places
from ofakit.objectives.base import Objective
from ofakit.processes import joined_processes

__all__ = ["CrossEntropy", "label_smoothed_cross_entropy", "r_drop_loss", "target_states", "token_losses"]


class CrossEntropy(Objective):
    """The loss of stage one.

    Args:
        label_smoothing: Probability taken from the target and spread over the other tokens, in [0, 1).
        drop_worst_ratio: Share of the tokens, those with the highest losses, that are ignored, in [0, 1).
        drop_worst_after: Steps before dropping begins.
        r_drop_alpha: Weight of the divergence between two passes with different dropout; 0 runs a single pass.
        pad_token_id: The id that targets are padded with; must be the model's.

    Raises:
        UsageError: A number is out of range.
    """

    model_kind = Seq2SeqModel

    def __init__(
        self,
        label_smoothing: float = 0.1,
        drop_worst_ratio: float = 0.0,
        drop_worst_after: int = 0,
        r_drop_alpha: float = 0.0,
        pad_token_id: int = 1,
    ) -> None:
        for name, value in (("label_smoothing", label_smoothing), ("drop_worst_ratio", drop_worst_ratio)):
            if not 0 <= value < 1:
                raise UsageError(f"{name} must be at least 0 and below 1, found {value}")
        for name, value in (("drop_worst_after", drop_worst_after), ("r_drop_alpha", r_drop_alpha)):
            if value < 0:
                raise UsageError(f"{name} must not be negative, found {value}")
        self.label_smoothing = label_smoothing
        self.drop_worst_ratio = drop_worst_ratio
        self.drop_worst_after = drop_worst_after
        self.r_drop_alpha = r_drop_alpha
        self.pad_token_id = pad_token_id

    def normalizer(self, batch: Mapping[str, Tensor]) -> int:
        """The number of target tokens.

        Args:
            batch: With `target` `(B, U)`.
        """
        return int((batch["target"] != self.pad_token_id).sum())

    def __call__(
        self, model: Any, batch: Mapping[str, Tensor], normalizer: float, step: int
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of one micro-batch of one process.

        While the worst tokens are dropped, every process must call this equally often, since they are the worst of the
        joined batch.

        Args:
            model: A model that generates.
            batch: The inputs of the model, `decoder_input_ids` and `target`.
            normalizer: Target tokens of all micro-batches and processes that make one update.
            step: Updates made so far.

        Returns:
            The sum of the token losses divided by `normalizer`, and the logs `loss` and `nll` (detached, and also
            divided); their sums over micro-batches and processes are the means over tokens. R-Drop adds its divergence
            as a sum.

        Raises:
            UsageError: The model pads with a different token.
        """
        if model.special_tokens.pad != self.pad_token_id:
            found = f"the objective pads with {self.pad_token_id}, the model with {model.special_tokens.pad}"
            raise UsageError(f"{found}; make the objective with the model's pad_token_id")
        passes = 2 if self.r_drop_alpha > 0 else 1
        there = target_places(batch["target"], self.pad_token_id)
        target = batch["target"][there]
        hidden = target_states(model, batch, passes).unflatten(0, (passes, -1))[:, there[0], there[1]]
        weight, bias = model.output_embedding, model.output_bias
        scale = 1 / (passes * normalizer)
        if self.drop_worst_ratio > 0 and step > self.drop_worst_after:
            losses = token_losses(hidden[0], weight, target, self.label_smoothing, bias)[0]
            kept, share = best_tokens(losses, self.drop_worst_ratio)
            hidden, target, scale = hidden[:, kept], target[kept], scale / share
        if passes == 2:
            first, second = hidden.unbind()
            alpha = self.r_drop_alpha / scale
            loss, nll = r_drop_loss(first, second, weight, target, self.label_smoothing, alpha, scale, bias)
        else:
            loss, nll = label_smoothed_cross_entropy(hidden[0], weight, target, self.label_smoothing, scale, bias)
        return loss, {"loss": loss.detach(), "nll": nll}


def label_smoothed_cross_entropy(
    hidden: Tensor, weight: Tensor, target: Tensor, epsilon: float, scale: float = 1.0, bias: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Sum over tokens of (1 - epsilon - e) nll - e sum_v log p(v), where e = epsilon / (V - 1).

    Args:
        hidden: `(N, d)` states that have a target.
        weight: `(V, d)` output embedding.
        target: `(N,)` int64.
        epsilon: Label smoothing.
        scale: Factor on both results.
        bias: `(V,)`, added to the logits, or None.

    Returns:
        The loss, differentiable in `hidden` and `weight`, and the sum of the negative log-likelihoods, which is not.

    >>> loss, nll = label_smoothed_cross_entropy(torch.eye(2), torch.eye(2), torch.tensor([0, 1]), 0.0)
    >>> round(loss.item(), 4), round(nll.item(), 4)
    (0.6265, 0.6265)
    """

    def gradient(logits: Tensor, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        loss, nll, slope = smoothed_loss(logits, target[rows], epsilon)
        return loss.sum(), nll.sum(), slope

    return projected_loss(hidden, weight, gradient, len(target), scale, bias)


def r_drop_loss(
    first: Tensor,
    second: Tensor,
    weight: Tensor,
    target: Tensor,
    epsilon: float,
    alpha: float,
    scale: float = 1.0,
    bias: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """The smoothed cross entropy of both passes plus alpha times the mean of their two divergences, all summed.

    Args:
        first: `(N, d)` states of one pass.
        second: `(N, d)` states of the other.
        weight: `(V, d)` output embedding.
        target: `(N,)` int64.
        epsilon: Label smoothing.
        alpha: Weight of the divergence.
        scale: Factor on both results.
        bias: `(V,)`, added to the logits, or None.

    Returns:
        See `label_smoothed_cross_entropy`.
    """

    def gradient(logits: Tensor, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        loss, nll, slope = smoothed_loss(logits, target[rows].repeat(2), epsilon)
        divergence, extra = _symmetric_divergence(logits.log_softmax(-1))
        return loss.sum() + alpha * divergence, nll.sum(), slope.add_(extra, alpha=alpha)

    states = torch.stack([first, second], 1).flatten(0, 1)
    return projected_loss(states, weight, gradient, len(target), scale, bias)


@torch.no_grad()
def token_losses(
    hidden: Tensor, weight: Tensor, target: Tensor, epsilon: float, bias: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """The smoothed loss and the negative log-likelihood of every token, without gradient.

    Args:
        hidden: `(N, d)`.
        weight: `(V, d)`.
        target: `(N,)` int64.
        epsilon: Label smoothing.
        bias: `(V,)`, added to the logits, or None.

    Returns:
        `(N,)` each, fp32.
    """
    projection = weight.to(compute_dtype(hidden))
    parts = []
    for rows in chunks_of_rows(len(target), weight):
        logits = project(hidden[rows], projection, bias)
        parts.append(torch.stack(smoothed_loss(logits, target[rows], epsilon, slope=False)[:2]))
    losses, nll = torch.cat(parts, 1) if parts else hidden.new_zeros(2, 0, dtype=torch.float32)
    return losses, nll


def best_tokens(losses: Tensor, drop_ratio: float) -> tuple[Tensor, float]:
    """The tokens that remain when the worst of the joined batch are dropped.

    Args:
        losses: `(N,)` of this process.
        drop_ratio: Share that is dropped; of n tokens int(n (1 - drop_ratio)) remain.

    Returns:
        Positions among the N, and the share of the joined batch that remains.
    """
    processes = joined_processes(losses.device)
    parts = processes.gather(losses.detach().cpu())
    offset = sum(map(len, parts[: processes.rank]))
    joined = torch.cat(parts).to(losses.device)
    count = int(len(joined) * (1 - drop_ratio))
    chosen = joined.topk(count, largest=False).indices
    mine = chosen[(chosen >= offset) & (chosen < offset + len(losses))] - offset
    return mine, max(count, 1) / max(len(joined), 1)


def target_states(model: Any, batch: Mapping[str, Tensor], passes: int = 1) -> Tensor:
    """The decoder's states at the targets of a batch.

    Args:
        model: A model that generates.
        batch: The inputs of B examples, and `decoder_input_ids` (B, U).
        passes: How many times each example is run, each time with different dropout.

    Returns:
        (passes * B, U, d), normalised.
    """
    inputs = {"decoder_input_ids": batch["decoder_input_ids"], **model.encoder_inputs(batch)}
    if passes > 1:
        inputs = {n: torch.cat([v] * passes) if isinstance(v, Tensor) else v for n, v in inputs.items()}
    decoder_input_ids = inputs.pop("decoder_input_ids")
    return model.decode(decoder_input_ids=decoder_input_ids, encoder_outputs=model.encode(**inputs))


def _symmetric_divergence(log_p: Tensor) -> tuple[Tensor, Tensor]:
    """(KL(p|q) + KL(q|p)) / 2 of the two halves of `(2N, V)` log-probabilities, and its gradient in the logits."""
    p = log_p.exp()
    distance = log_p - log_p.roll(len(log_p) // 2, 0)
    forward = (p * distance).sum(-1, keepdim=True)
    gradient = (p * (distance - forward) + p - p.roll(len(p) // 2, 0)) / 2
    return forward.sum() / 2, gradient
