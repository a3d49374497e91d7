"""Optimizer and learning-rate schedule from the configuration.

{"train": {"optimizer": {"type": "AdamW", "lr": 2e-5}, "lr_scheduler": {"name": "cosine", "warmup_proportion": 0.06}}}
"""

from __future__ import annotations

import torch
import transformers
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR

from ofakit.config.schema import OptimizerSection, SchedulerSection

__all__ = ["build_optimizer", "build_scheduler"]

VISUAL = "encoder.embed_images."


def build_optimizer(model: torch.nn.Module, section: OptimizerSection) -> AdamW:
    """AdamW over the weights that are not frozen.

    Args:
        model: The model; its visual backbone gets `lr * visual_lr_scale`.
        section: `train.optimizer`.
    """
    trained = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
    visual = [weight for name, weight in trained.items() if name.startswith(VISUAL)]
    rest = [weight for name, weight in trained.items() if not name.startswith(VISUAL)]
    groups = [{"params": rest}]
    if visual:
        groups.append({"params": visual, "lr": section.lr * section.visual_lr_scale})
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
