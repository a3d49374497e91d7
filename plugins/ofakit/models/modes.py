"""Evaluation mode for a while, whatever mode each part of a model is in.

with evaluation_mode(model, gradients=False):
    states = model.encode(**inputs)
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import torch
from torch import nn

__all__ = ["HasModes", "evaluation_mode"]


class HasModes(Protocol):
    """What every `torch.nn.Module` has."""

    def modules(self) -> Iterator[nn.Module]:
        """All parts, the whole included."""
        ...

    def eval(self) -> Any:
        """Put all parts into evaluation mode."""
        ...


@contextmanager
def evaluation_mode(model: HasModes, gradients: bool = True) -> Iterator[None]:
    """Evaluation mode inside; afterwards, an error included, every part is in the mode that it was in.

    `model.train(was_training)` would not do: it puts frozen parts that are kept in evaluation mode into training.

    Args:
        model: A module.
        gradients: Whether gradients are left as they are outside. Otherwise there are none inside, and autocast's cache
            is emptied behind it, since weights that it cast there cannot take part in a backward pass.
    """
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with contextlib.nullcontext() if gradients else torch.inference_mode():
            yield
    finally:
        if not gradients:
            torch.clear_autocast_cache()
        for module, training in modes:
            module.training = training
