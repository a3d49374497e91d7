"""Layers compiled by torch.compile, one at a time: a model of 24 identical layers compiles in the time of one.

    {"train": {"compile": true}}

Names of weights, copies and files stay as they are. Where no compiler is, the layers run as they were written.
"""

from __future__ import annotations

import torch
from torch import nn

from ofakit.models.repeated_layers import repeated_layers

__all__ = ["compile_layers", "compiler_fault"]


def compiler_fault(device: torch.device) -> str | None:
    """Why nothing can be compiled here, in one line; None where a small function can.

    Args:
        device: Where it would run.
    """
    try:
        torch.compile(_try_out)(torch.ones(8, device=device))
    except Exception as error:  # a missing compiler, Triton or header shows itself in many classes
        return f"{type(error).__name__}: {error}".strip().partition("\n")[0][:200]
    return None


def _try_out(x: torch.Tensor) -> torch.Tensor:
    return (x.sin() + 1).sum()


def compile_layers(model: nn.Module, backend: str = "inductor") -> int:
    """Let the layers of a model be compiled at their first run.

    Args:
        model: Changed in place; copies of it are not compiled.
        backend: One of torch.compile's.

    Returns:
        How many layers there are.
    """
    layers = repeated_layers(model)
    for layer in layers:
        layer.compile(backend=backend)
    return len(layers)
