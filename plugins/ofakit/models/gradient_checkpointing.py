"""Gradient checkpointing: layers keep only their inputs and are computed again in the backward pass.

    {"train": {"recompute": true}}

A layer draws the same random numbers the second time, and its running statistics move the first time only, so that the
gradient is that of training without. Source: Chen et al. 2016, https://arxiv.org/abs/1604.06174. `recompute.py` has the
single steps for which this is done at all times.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from ofakit.models.repeated_layers import repeated_layers

__all__ = ["recompute_layers", "run_layer"]


def recompute_layers(model: nn.Module) -> int:
    """Let the layers of a model keep their inputs alone, in training.

    Args:
        model: Changed in place; its weights, their names and what it computes stay.

    Returns:
        How many layers there are.
    """
    layers = repeated_layers(model)
    for layer in layers:
        if hasattr(layer, "gradient_checkpointing"):  # Hugging Face's know which of their inputs must not be seen twice
            layer.gradient_checkpointing = True  # type: ignore[assignment]
            layer._gradient_checkpointing_func = functools.partial(checkpoint, use_reentrant=False)  # type: ignore[assignment]
        else:
            layer.recomputed = True  # type: ignore[assignment]
            layer.forward = functools.partial(_forward, layer)
    return len(layers)


def run_layer(layer: nn.Module, function: Callable[..., Any], *inputs: Any, **named: Any) -> Any:
    """function(layer, *inputs), computed again in the backward pass where that is what the layer does.

    Args:
        layer: A layer in the state of `recompute_layers`, or any other.
        function: Its forward pass, or what stands for it.
        *inputs: The function's.
        **named: Likewise.
    """
    if not (getattr(layer, "recomputed", False) and layer.training and torch.is_grad_enabled()):
        return function(layer, *inputs, **named)
    contexts = functools.partial(_contexts, layer)
    return checkpoint(function, layer, *inputs, use_reentrant=False, context_fn=contexts, **named)


def _forward(layer: nn.Module, *inputs: Any, **named: Any) -> Any:
    return run_layer(layer, type(layer).forward, *inputs, **named)


def _contexts(layer: nn.Module) -> tuple[Any, Any]:
    """Where the first pass runs, and the second."""
    return nullcontext(), _statistics_at_rest(layer)


@contextmanager
def _statistics_at_rest(layer: nn.Module) -> Iterator[None]:
    """What the layer does to its buffers is done to copies: autograd keeps those of the first pass."""
    own = [(module._buffers, dict(module._buffers)) for module in layer.modules() if module._buffers]
    for buffers, values in own:
        buffers.update({name: None if value is None else value.clone() for name, value in values.items()})
    try:
        yield
    finally:
        for buffers, values in own:
            buffers.update(values)
