"""Losses over the joined batch, with the memory of one micro-batch.

First every micro-batch is represented without gradient, and the loss is computed over the representations of all
micro-batches of all processes. Its gradient at the representations is then propagated back through each micro-batch,
which runs again with the same random numbers: the surrogate sum(representation * gradient) has the gradient of the
whole loss.

Source: Gao et al. 2021, https://arxiv.org/abs/2101.06983.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ofakit.models.precision import autocast
from ofakit.objectives.base import JoinedObjective, Logs
from ofakit.processes import Processes

__all__ = ["JoinedLoss", "Replay", "joined_loss"]

Represent = Callable[[JoinedObjective, Any, Mapping[str, Any]], Mapping[str, Tensor]]


@dataclass(frozen=True)
class Replay:
    """What the second pass of one micro-batch needs.

    Attributes:
        gradients: Gradients of the loss at the micro-batch's representations, by name.
        random: The state of the random generators before the first pass.
        kept: The representations of the first pass with their graph, if no second pass is needed.
    """

    gradients: Mapping[str, Tensor]
    random: Sequence[Tensor]
    kept: Mapping[str, Tensor] | None = None

    def surrogate(self, objective: JoinedObjective, model: Any, batch: Mapping[str, Any]) -> Tensor:
        """A scalar whose gradient is the micro-batch's share of the gradient of the loss; 0 if nothing in it is learnt.

        Args:
            objective: The objective that this was made for.
            model: Its model in the mode of the first pass, or what replaces it for this micro-batch.
            batch: The micro-batch.
        """
        found = self.kept
        if found is None:
            with _generators_at(self.random, model):
                found = objective.represent(model, batch)
        parts = [
            (_full_precision(found[name]) * gradient).sum()
            for name, gradient in self.gradients.items()
            if found[name].requires_grad
        ]
        return torch.stack(parts).sum() if parts else torch.zeros((), device=next(model.parameters()).device)


@dataclass(frozen=True)
class JoinedLoss:
    """The loss of a joined batch.

    Attributes:
        value: The loss.
        logs: The logs of the objective.
        replays: One per micro-batch of this process.
    """

    value: float
    logs: Logs
    replays: Sequence[Replay]


def joined_loss(
    objective: JoinedObjective,
    model: nn.Module,
    batches: Sequence[Mapping[str, Any]],
    processes: Processes,
    precision: str = "fp32",
    weight: float = 1.0,
    views: Sequence[Any] | None = None,
    represent: Represent | None = None,
) -> JoinedLoss:
    """Run the first pass. It changes neither weights nor buffers of the model, such as batch-norm statistics.

    If a single process holds the whole batch in one piece, the first pass is the only one, and buffers change in it.

    Args:
        objective: The objective.
        model: Its model.
        batches: The micro-batches of this process, on its device; every process has at least one.
        processes: The processes that train together.
        precision: The precision of `represent`; the loss computes in fp32 or more.
        weight: Factor on the gradients.
        views: For each micro-batch, what is passed to `represent` instead of the model; None: the model itself.
        represent: Calls the objective's own `represent`, if something has to be done around it.
    """
    whole = len(batches) == 1 and processes.world_size == 1
    buffers = [] if whole else [(buffer, buffer.clone()) for buffer in model.buffers()]
    states, found = [], []
    with torch.set_grad_enabled(whole), autocast(processes.device, precision):
        for batch, view in zip(batches, views or [model] * len(batches), strict=True):
            states.append(_generators(model))
            found.append(represent(objective, view, batch) if represent else objective.represent(view, batch))
        for buffer, before in buffers:
            buffer.copy_(before)
    detached = [{name: rows.detach() for name, rows in part.items()} for part in found]
    joined = {name: _join([part[name] for part in detached], processes) for name in found[0]}
    leaves = {name: rows.requires_grad_() for name, (rows, _) in joined.items() if rows.is_floating_point()}
    with torch.enable_grad():
        loss, logs = objective.loss({name: rows for name, (rows, _) in joined.items()})
        if loss.requires_grad:
            gradients = torch.autograd.grad(weight * loss, list(leaves.values()), allow_unused=True)
        else:  # the batch has nothing to compare; the exchange between processes needs zeros
            gradients = tuple(torch.zeros_like(rows) for rows in leaves.values())
    shares = {
        name: _own_share(gradient, joined[name][1], [len(part[name]) for part in found])
        for name, gradient in zip(leaves, gradients, strict=True)
        if gradient is not None
    }
    replays = [
        Replay({name: share[place] for name, share in shares.items()}, state, found[place] if whole else None)
        for place, state in enumerate(states)
    ]
    return JoinedLoss(float(loss.detach()), logs, replays)


def _join(parts: Sequence[Tensor], processes: Processes) -> tuple[Tensor, int]:
    """The rows of all micro-batches of all processes, and the position at which those of this process begin."""
    everybodys = processes.gather_rows(torch.cat([_full_precision(part) for part in parts]))
    return torch.cat(everybodys), sum(len(rows) for rows in everybodys[: processes.rank])


def _own_share(gradient: Tensor, first: int, counts: Sequence[int]) -> Sequence[Tensor]:
    """The rows of each micro-batch of this process."""
    return gradient[first : first + sum(counts)].split(list(counts))


def _full_precision(values: Tensor) -> Tensor:
    """Converts half precision to fp32; everything else is unchanged."""
    return values.float() if values.dtype in (torch.float16, torch.bfloat16) else values


def _generators(model: nn.Module) -> list[Tensor]:
    """The state of the generators that a forward pass draws from: PyTorch's for the CPU and for the model's GPU."""
    device = next(model.parameters()).device
    if device.type == "cuda":
        return [torch.get_rng_state(), torch.cuda.get_rng_state(device)]
    return [torch.get_rng_state(), *([torch.mps.get_rng_state()] if device.type == "mps" else [])]


@contextmanager
def _generators_at(states: Sequence[Tensor], model: nn.Module) -> Iterator[None]:
    """Sets the generators to an earlier state; afterwards they continue as if nothing had been drawn."""
    before = _generators(model)
    _set_generators(states, model)
    try:
        yield
    finally:
        _set_generators(before, model)


def _set_generators(states: Sequence[Tensor], model: nn.Module) -> None:
    device = next(model.parameters()).device
    torch.set_rng_state(states[0])
    if device.type == "cuda":
        torch.cuda.set_rng_state(states[1], device)
    elif device.type == "mps":
        torch.mps.set_rng_state(states[1])
