"""Optimizer and learning-rate schedule from the configuration.

{"train": {"optimizer": {"type": "AdamW", "lr": 2e-5}, "lr_scheduler": {"name": "cosine", "warmup_proportion": 0.06}}}
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import transformers
from torch import nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR

from ofakit.config.schema import OptimizerSection, SchedulerSection
from ofakit.models.base import Model

__all__ = ["build_optimizer", "build_scheduler"]


def build_optimizer(model: Model, section: OptimizerSection, of_losses: Iterable[str] = ()) -> AdamW:
    """AdamW over the weights that are not frozen.

    Args:
        model: The model; `lr_scales` sets the learning rates of its parts.
        section: `train.optimizer`.
        of_losses: Names of parameters that belong to losses; they get `scale_lr` and do not decay.

    Raises:
        UsageError: `lr_scales` contains a name that is not a part of the model.
    """
    model.refuse_unknown_parts(section.lr_scales, "train.optimizer.lr_scales")
    left = {id(weight): weight for weight in model.parameters() if weight.requires_grad}

    def take(weights: Iterable[nn.Parameter]) -> list[nn.Parameter]:
        return [left.pop(key) for key in dict.fromkeys(map(id, weights)) if key in left]

    named = dict(model.named_parameters())
    scales = take(named[name] for name in of_losses if name in named)
    parts = [(take(model.parameters_of(part)), scale) for part, scale in section.lr_scales.items()]
    groups: list[dict[str, Any]] = [{"params": list(left.values())}]
    groups += [{"params": weights, "lr": section.lr * scale} for weights, scale in parts if weights]
    if scales:
        groups.append({"params": scales, "lr": section.scale_lr or section.lr, "weight_decay": 0.0})
    return AdamW(
        groups, lr=section.lr, betas=section.betas, eps=section.eps, weight_decay=section.weight_decay, fused=True
    )


def build_scheduler(optimizer: AdamW, section: SchedulerSection, steps: int) -> LambdaLR:
    """The schedule over all steps of the run.

    Args:
        optimizer: The optimizer, whose learning rates are the peaks.
        section: `train.lr_scheduler`.
        steps: Updates of the whole run.
    """
    warmup = section.warmup_steps
    if warmup is None:
        warmup = int(section.warmup_proportion * steps)
    if section.name == "const":
        return transformers.get_constant_schedule_with_warmup(optimizer, warmup)
    if section.name == "linear":
        return transformers.get_linear_schedule_with_warmup(optimizer, warmup, steps)
    if section.name == "cosine":
        return transformers.get_cosine_schedule_with_warmup(optimizer, warmup, steps)
    return transformers.get_polynomial_decay_schedule_with_warmup(
        optimizer, warmup, steps, lr_end=section.lr_end, power=section.power
    )
