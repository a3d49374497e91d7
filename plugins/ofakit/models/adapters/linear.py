"""A linear layer with an adapter on it; its own weights keep their names and their place.

A wrapped `out_proj` is still `out_proj.weight` and `out_proj.bias` in a state dict; what was added stands under
`out_proj.adapter`. So weights of before load into an adapted model, and code that asks for the layer finds one.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from ofakit.models.onednn import linear

__all__ = ["Adapted", "AdaptedLinear", "Adapter", "adapted_layers", "put_on"]


class Adapter(nn.Module):
    """What changes a linear layer: its input, its output, or both.

    Attributes:
        looks_at_input: Whether it needs the layer's input; otherwise the output is enough.
    """

    looks_at_input = False

    def before(self, x: Tensor) -> Tensor:
        """What the layer is given, `(..., in) -> (..., in)`.

        Args:
            x: What it would be given.
        """
        return x

    def after(self, x: Tensor, y: Tensor) -> Tensor:
        """What the layer gives, `(..., out) -> (..., out)`.

        Args:
            x: `(..., in)`, what it would be given; not looked at unless `looks_at_input`.
            y: What it gave.
        """
        return y


class AdaptedLinear(nn.Linear):
    """A linear layer with an adapter, with the parameters of the one that it replaces.

    Args:
        linear: The layer; its parameters are shared, not copied.
        adapter: What changes it.
    """

    def __init__(self, linear: nn.Linear, adapter: Adapter) -> None:
        nn.Module.__init__(self)
        self.in_features, self.out_features = linear.in_features, linear.out_features
        self.weight, self.bias = linear.weight, linear.bias
        self.adapter = adapter
        self.train(linear.training)

    def forward(self, x: Tensor) -> Tensor:
        """Project and adapt, `(..., in) -> (..., out)`.

        Args:
            x: As for the layer.
        """
        return self.adapter.after(x, linear(self.adapter.before(x), self.weight, self.bias))


class Adapted(nn.Module):
    """Any layer with an adapter: what an `AdaptedLinear` becomes whose weights are laid out again for inference.

    Args:
        layer: `(..., in) -> (..., out)`.
        adapter: What changes it.
    """

    def __init__(self, layer: nn.Module, adapter: Adapter) -> None:
        super().__init__()
        self.layer, self.adapter = layer, adapter

    def forward(self, x: Tensor) -> Tensor:
        """Project and adapt, `(..., in) -> (..., out)`.

        Args:
            x: As for the layer.
        """
        return self.adapter.after(x, self.layer(self.adapter.before(x)))


def put_on(model: nn.Module, path: str, make: Callable[[nn.Linear], Adapter]) -> AdaptedLinear:
    """Put an adapter on a linear layer of a model; layers that share their weight share the adapter as well.

    Args:
        model: Changed in place.
        path: The dotted name of the layer.
        make: Gives the adapter of the layer; called where new tensors are made on the layer's device.

    Returns:
        What stands there now, its adapter of the layer's type.
    """
    owner, _, name = path.rpartition(".")
    linear = model.get_submodule(path)
    assert isinstance(linear, nn.Linear)
    same = next((other.adapter for other in adapted_layers(model).values() if other.weight is linear.weight), None)
    if same is None:
        with torch.device(linear.weight.device):
            same = make(linear).to(linear.weight.dtype)
    adapted = AdaptedLinear(linear, same)
    setattr(model.get_submodule(owner), name, adapted)
    return adapted


def adapted_layers(model: nn.Module) -> dict[str, AdaptedLinear]:
    """The adapted layers of a model by their dotted names.

    Args:
        model: Any.
    """
    return {name: module for name, module in model.named_modules() if isinstance(module, AdaptedLinear)}
