"""Optimizer and learning-rate schedule from the configuration.

{"train": {"optimizer": {"type": "AdamW", "lr": 2e-5}, "lr_scheduler": {"name": "cosine", "warmup_proportion": 0.06}}}
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import transformers
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR

from ofakit.config.schema import OptimizerSection, SchedulerSection
from ofakit.models.base import Model

__all__ = ["build_optimizer", "build_scheduler"]


def build_optimizer(model: Model, section: OptimizerSection, of_losses: Iterable[str] = ()) -> AdamW:
    """AdamW over the weights that are not frozen.

    Args:
        model: The model; its part `visual` gets `lr * visual_lr_scale`.
        section: `train.optimizer`.
        of_losses: Names of parameters that belong to losses; they get `scale_lr` and do not decay.
    """
    named = dict(model.named_parameters())
    scales = [named[name] for name in dict.fromkeys(of_losses) if name in named and named[name].requires_grad]
    of_backbone = {id(weight) for weight in model.parameters_of("visual")}
    apart = of_backbone | {id(weight) for weight in scales}
    trained = [weight for weight in model.parameters() if weight.requires_grad]
    visual = [weight for weight in trained if id(weight) in of_backbone]
    groups: list[dict[str, Any]] = [{"params": [weight for weight in trained if id(weight) not in apart]}]
    if visual:
        groups.append({"params": visual, "lr": section.lr * section.visual_lr_scale})
    if scales:
        groups.append({"params": scales, "lr": section.scale_lr or section.lr, "weight_decay": 0.0})
    return AdamW(
        groups, lr=section.lr, betas=section.betas, eps=section.eps, weight_decay=section.weight_decay, fused=True
    )


def build_scheduler(optimizer: AdamW, section: SchedulerSection, steps: int) -> LambdaLR:
    """The schedule over all steps of the run.

    Args:
        optimizer: Its learning rates are the peaks.
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
