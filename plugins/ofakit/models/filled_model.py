"""A model for the weights of a checkpoint, without random weights that would be overwritten at once.

    model = filled(lambda: VLModel(config), lambda model: load_checkpoint(model, directory))

Drawing them takes most of the time in which a large model is read. Where the checkpoint lacks a weight, such as the
projection of regions of a language model, all are drawn after all, as if nothing had been left out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from torch import nn
from torch.overrides import TorchFunctionMode

__all__ = ["filled"]

Network = TypeVar("Network", bound=nn.Module)

DRAWS = {
    "normal_", "uniform_", "trunc_normal_", "erfinv_", "kaiming_uniform_", "kaiming_normal_", "xavier_uniform_",
    "xavier_normal_", "orthogonal_",
}  # fmt: skip
"""Functions of tensors and of `torch.nn.init` that fill a tensor with random numbers, or turn these into others."""


def filled(make: Callable[[], Network], fill: Callable[[Network], Any]) -> Network:
    """A model whose weights are those of a checkpoint.

    Args:
        make: Makes the model.
        fill: Puts weights into it, in place. Called twice where they are not all of the model's.

    Returns:
        The model.
    """
    with _WithoutDraws():
        model = make()
    before = {name: parameter._version for name, parameter in model.named_parameters()}
    fill(model)
    if all(parameter._version != before[name] for name, parameter in model.named_parameters()):
        return model
    model = make()
    fill(model)
    return model


class _WithoutDraws(TorchFunctionMode):
    """Tensors stay as they are where they would be filled with random numbers."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if getattr(func, "__name__", "") in DRAWS:
            return args[0] if args else kwargs["tensor"]
        return func(*args, **(kwargs or {}))
