"""Fold adapters into the weights that they change, where that is possible: LoRA and (IA)³."""

from __future__ import annotations

from typing import Any, TypeVar

import torch
from torch import nn

from ofakit.errors import UsageError
from ofakit.models.adapters._peft import merge_peft
from ofakit.models.adapters.adding import note_adapter
from ofakit.models.adapters.kinds import ADAPTERS
from ofakit.models.adapters.linear import adapted_layers
from ofakit.models.adapters.tasks import adapter_set_of

__all__ = ["merge_adapters"]

Network = TypeVar("Network", bound=nn.Module)


@torch.no_grad()
def merge_adapters(model: Network, task: str | None = None) -> Network:
    """Multiply or add adapters into the weights; afterwards the model is one without adapters.

    Args:
        model: With LoRA or (IA)³; changed in place.
        task: Whose adapters, where each task has its own.

    Returns:
        The model.

    Raises:
        UsageError: It has no adapters, they cannot be merged, or the task has none.
    """
    adapters = adapter_set_of(model)
    if adapters is None:
        raise UsageError("the model has no adapters to merge")
    kind = adapters.spec["type"]
    if not ADAPTERS.get(kind).merges:
        able = [name for name in ADAPTERS.names() if ADAPTERS.get(name).merges]
        raise UsageError(
            f"adapters of type {kind!r} do not amount to a change of weights and cannot be merged; "
            f"{' and '.join(able)} can. Keep the model as it is, or save only its adapter"
        )
    adapters.choice.key(task)
    merge_peft(model)
    merged: dict[int, tuple[Any, Any]] = {}
    for path, layer in adapted_layers(model).items():
        if id(layer.weight) not in merged:
            found = layer.adapter.merged(layer.weight, layer.bias, task)  # type: ignore[operator]
            merged[id(layer.weight)] = tuple(None if part is None else _parameter(part) for part in found)  # type: ignore[assignment]
        owner, _, name = path.rpartition(".")
        setattr(model.get_submodule(owner), name, _plain(*merged[id(layer.weight)], training=layer.training))
    del model.adapter_set
    note_adapter(model, None)
    return model


def _parameter(value: torch.Tensor) -> nn.Parameter:
    return value if isinstance(value, nn.Parameter) else nn.Parameter(value, requires_grad=False)


def _plain(weight: nn.Parameter, bias: nn.Parameter | None, training: bool) -> nn.Linear:
    """A linear layer of these weights."""
    with torch.device("meta"):
        linear = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None)
    linear.weight, linear.bias = weight, bias  # type: ignore[assignment]
    return linear.train(training)
