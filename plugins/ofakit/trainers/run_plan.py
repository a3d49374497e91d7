"""The plan of a run before its first step: device, parameters, examples and steps; also as lines for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from ofakit.trainers.trainer import Trainer

__all__ = ["plan_lines", "run_plan"]


def run_plan(trainer: Trainer) -> dict[str, Any]:
    """The device, parameters, data and length of a training.

    Args:
        trainer: A trainer that is ready to train.

    Returns:
        `device`, `processes`, `precision`, `parameters` (`all`, `learning`), `examples` by split, `training_examples`,
        `batch_size`, `examples_per_step`, `steps_per_epoch`, `epochs` and `steps`.
    """
    train, processes = trainer.experiment.train, trainer.processes
    batch_size = train.dataloader.batch_size_per_gpu
    return {
        "device": _device_words(trainer.device),
        "processes": processes.world_size,
        "precision": train.precision,
        "parameters": _parameters(trainer.model),
        "examples": {split: len(found) for split, found in trainer.examples.items()},
        "training_examples": len(trainer.loading.training_examples),
        "batch_size": batch_size,
        "examples_per_step": batch_size * train.gradient_accumulation * processes.world_size,
        "steps_per_epoch": trainer.iters_per_epoch,
        "epochs": trainer.max_epochs,
        "steps": trainer.max_iters,
    }


def plan_lines(plan: Mapping[str, Any]) -> Iterator[str]:
    """The lines of a small table.

    Args:
        plan: From `run_plan`; `left_out`, counts by reason, and `objectives` are shown if it contains them.
    """
    parameters, examples = plan["parameters"], plan["examples"]
    processes = f" x {plan['processes']} processes" if plan["processes"] > 1 else ""
    yield f"device      {plan['device']}{processes}, {plan['precision']}"
    yield f"parameters  {parameters['all']:,}, {parameters['learning']:,} of them trained"
    yield f"examples    {', '.join(f'{split} {count:,}' for split, count in examples.items())}"
    left_out = "".join(f", {count:,} left out: {reason}" for reason, count in plan.get("left_out", {}).items())
    yield f"epochs      {plan['epochs']:,}, of {plan['training_examples']:,} training examples{left_out}"
    yield (
        f"steps       {plan['steps']:,}, {plan['steps_per_epoch']:,} an epoch, of "
        f"{plan['examples_per_step']:,} examples each"
    )
    if plan.get("objectives"):
        yield f"objectives  {', '.join(plan['objectives'])}"


def _parameters(model: torch.nn.Module) -> dict[str, int]:
    """The number of parameters, and how many of them are trainable."""
    sizes = [(parameter.numel(), parameter.requires_grad) for parameter in model.parameters()]
    return {"all": sum(size for size, _ in sizes), "learning": sum(size for size, learns in sizes if learns)}


def _device_words(device: torch.device) -> str:
    """The device, with the name of a GPU."""
    return f"{device} ({torch.cuda.get_device_name(device)})" if device.type == "cuda" else str(device)
