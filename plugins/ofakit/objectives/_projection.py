"""Losses of logits that are never held in full: each chunk of tokens is projected, used and discarded.

Logits are `hidden @ weight.t()`, and a bias where the model has one, (N, V) with N the tokens and V the vocabulary.
Their loss and its gradient are computed together, chunk by chunk, so that no tensor of that size outlives its chunk.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, overload

import torch
from torch import Tensor

from ofakit.models.ofa.layers import announce_dense_gradient
from ofakit.models.onednn import product
from ofakit.models.precision import compute_dtype

__all__ = ["LossOfLogits", "chunks_of_rows", "project", "projected_loss", "smoothed_loss", "target_places"]

FP16_LIFT = 16.0
"""Factor on slopes in fp16 while they are multiplied with states: the smallest are those of label smoothing,
0.1 / 59,457, which fp16 represents to within a hundredth, and to within a thousandth with this factor. The division by
the number of tokens follows in fp32."""

CHUNK_NUMBERS = {"cpu": 2**23}
"""Logits that are held at once, by device; 2**26 on other devices."""

LossOfLogits = Callable[[Tensor, Tensor], tuple[Tensor, Tensor, Tensor]]
"""(logits of a chunk, its rows) -> (loss, a number to log, the gradient of the loss in the logits)."""


def target_places(target: Tensor, pad_token_id: int) -> tuple[Tensor, Tensor]:
    """Rows and columns of the tokens to learn, for indexing states, targets and similar tensors.

    Call this before the model runs: the number of tokens is read from the device, and an accelerator answers only when
    all its pending work is done. Indexing with a mask would wait again for every tensor.

    Args:
        target: `(B, U)` int64.
        pad_token_id: The id that it is padded with.

    Returns:
        `(N,)` int64 each, by rows.

    >>> [place.tolist() for place in target_places(torch.tensor([[5, 2, 1], [2, 1, 1]]), 1)]
    [[0, 0, 1], [0, 1, 0]]
    """
    rows, columns = (target != pad_token_id).nonzero(as_tuple=True)
    return rows, columns


def projected_loss(
    hidden: Tensor, weight: Tensor, loss_of: LossOfLogits, count: int, scale: float, bias: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """The loss of all tokens, summed over chunks, with its gradient.

    Args:
        hidden: (N, d) states; N may be a multiple of `count`, with the states of one target in adjacent rows.
        weight: (V, d) output embedding.
        loss_of: Takes the fp32 logits of a chunk, which it may overwrite, and their rows among `count`. If a target has
            several states, the first state of every target comes first.
        count: Number of targets.
        scale: Factor on both results.
        bias: (V,), added to the logits and not learnt; None adds nothing.

    Returns:
        The loss, differentiable in `hidden` and `weight`, and the sum of the numbers to log, which is not.
    """
    return _ProjectedLoss.apply(hidden, weight, loss_of, count, scale, torch.is_grad_enabled(), bias)


@overload
def smoothed_loss(
    logits: Tensor, target: Tensor, epsilon: float, slope: Literal[True] = True
) -> tuple[Tensor, Tensor, Tensor]: ...


@overload
def smoothed_loss(
    logits: Tensor, target: Tensor, epsilon: float, slope: Literal[False]
) -> tuple[Tensor, Tensor, None]: ...


def smoothed_loss(
    logits: Tensor, target: Tensor, epsilon: float, slope: bool = True
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Cross entropy with label smoothing: (1 - epsilon - e) nll - e sum_v log p(v), where e = epsilon / (V - 1).

    Args:
        logits: (N, V), fp32 or more.
        target: (N,) int64.
        epsilon: Label smoothing.
        slope: Whether to compute the gradient.

    Returns:
        Loss and negative log-likelihood, (N,) each, and the gradient of the loss in the logits, (N, V), or None.
    """
    each = epsilon / (logits.shape[-1] - 1)
    normal = logits.logsumexp(-1)
    nll = normal - logits.gather(-1, target[:, None])[:, 0]
    loss = nll
    if epsilon:
        loss = (1 - epsilon - each) * nll + each * (logits.shape[-1] * normal - logits.sum(-1))
    if not slope:
        return loss, nll, None
    gradient = (logits - normal[:, None]).exp_()
    if epsilon:
        gradient -= each
    gradient.scatter_add_(-1, target[:, None], gradient.new_full((len(target), 1), -(1 - epsilon - each)))
    return loss, nll, gradient


def chunks_of_rows(count: int, weight: Tensor, passes: int = 1) -> tuple[Tensor, ...]:
    """The numbers from 0 to `count` - 1, in chunks whose logits may be held at once.

    Args:
        count: Number of targets.
        weight: (V, d) output embedding.
        passes: States per target.

    Returns:
        int64 tensors on the device of `weight`.
    """
    rows = max(1, CHUNK_NUMBERS.get(weight.device.type, 2**26) // len(weight))
    return torch.arange(count, device=weight.device).split(max(1, rows // passes))


def project(hidden: Tensor, projection: Tensor, bias: Tensor | None = None) -> Tensor:
    """Logits, computed in the type of `projection` and returned in fp32, or in double if `projection` is double.

    Args:
        hidden: (N, d).
        projection: (V, d) output embedding, in the type of `compute_dtype`.
        bias: (V,), or None for none.
    """
    with torch.autocast(hidden.device.type, enabled=False):
        logits = product(hidden.to(projection.dtype), projection.t())
    logits = logits if logits.dtype == torch.float64 else logits.float()
    return logits if bias is None else logits.add_(bias)


class _ProjectedLoss(torch.autograd.Function):
    """`projected_loss` for autograd."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        loss_of: LossOfLogits,
        count: int,
        scale: float,
        wanted: bool,
        bias: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        want_hidden, want_weight = (wanted and need for need in ctx.needs_input_grad[:2])
        projection = weight.to(compute_dtype(hidden))
        states = hidden.detach().to(projection.dtype)
        half = projection.dtype == torch.float16
        before, after = (FP16_LIFT, scale / FP16_LIFT) if half else (scale, 1.0)
        kept = torch.float32 if half else projection.dtype
        grad_hidden = torch.zeros_like(states, dtype=kept) if want_hidden else None
        grad_weight = None
        passes = max(1, len(hidden) // max(count, 1))
        total = hidden.new_zeros(2, dtype=torch.promote_types(hidden.dtype, torch.float32))
        for rows in chunks_of_rows(count, weight, passes):
            at = (rows[None] * passes + torch.arange(passes, device=rows.device)[:, None]).flatten()
            loss, logged, slope = loss_of(project(states[at], projection, bias), rows)
            total += torch.stack([loss, logged])
            slope = slope.mul_(before).to(projection.dtype)
            with torch.autocast(hidden.device.type, enabled=False):
                if grad_hidden is not None:
                    grad_hidden[at] = product(slope, projection).to(kept)
                if want_weight:
                    part = product(slope.t(), states[at]).to(weight.dtype)
                    grad_weight = part if grad_weight is None else grad_weight.add_(part)
        for gradient in (grad_hidden, grad_weight):
            if gradient is not None and after != 1:
                gradient.mul_(after)
        if want_weight and grad_weight is None:
            grad_weight = torch.zeros_like(weight)
        # An attribute, since save_for_backward would keep a gradient that autograd could otherwise take over.
        ctx.gradients = grad_hidden, grad_weight
        ctx.dtypes = hidden.dtype, weight.dtype
        ctx.weight = weight if want_weight else None
        loss, logged = total[0] * scale, total[1] * scale
        ctx.mark_non_differentiable(logged)
        return loss, logged

    @staticmethod
    def backward(ctx: Any, grad: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        gradients = ctx.gradients
        if not torch._C._autograd._get_current_graph_task_keep_graph():
            ctx.gradients = None
        if ctx.weight is not None:
            announce_dense_gradient(ctx.weight)
        if grad.device.type != "cpu" or grad.item() != 1:
            gradients = tuple(None if g is None else g * grad.to(g.dtype) for g in gradients)
        gradients = (None if g is None else g.to(dtype) for g, dtype in zip(gradients, ctx.dtypes, strict=True))
        return *gradients, None, None, None, None, None
