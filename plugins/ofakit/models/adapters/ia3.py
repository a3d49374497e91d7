"""Learned factors: on keys, on values, and on what the last linear layer of a feed-forward net is given.

    {"type": "ia3"}

The factors start at 1, so that the model starts as it was; afterwards they can be merged into the weights. Source: Liu
et al. 2022, https://arxiv.org/abs/2205.05638. With `"library": "peft"` it is peft's, on networks of Hugging Face.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from pydantic import Field
from torch import Tensor, nn

from ofakit.errors import UsageError
from ofakit.models.adapters._peft import insert_by_peft
from ofakit.models.adapters.base import LinearLayerSettings
from ofakit.models.adapters.linear import Adapter, put_on
from ofakit.models.adapters.sites import Role, Site
from ofakit.models.adapters.tasks import AdapterSet, PerTask, TaskChoice

__all__ = ["IA3", "Factors", "ScaledInput", "ScaledOutput"]


class IA3(LinearLayerSettings):
    """Factors on what linear layers give, and on what the last of a feed-forward net is given."""

    targets: list[Role] = Field(["key", "value"], description="linear layers of attention whose outputs are rescaled")
    feed_forward: bool = Field(True, description="rescale the input of the last layer of feed-forward networks")

    def insert(self, model: nn.Module, sites: Sequence[Site], adapters: AdapterSet) -> None:
        """Put factors on the wanted layers.

        Args:
            model: Changed in place.
            sites: Where adapters can sit in it.
            adapters: Of the model.

        Raises:
            UsageError: There is no such layer.
        """
        there = [site for site in sites if site.place in self.places]
        scaled = [site for site in there if site.place != "feed_forward" and site.role in self.targets]
        nets = [s for s in there if s.place == "feed_forward" and s.role == "output" and self.feed_forward]
        if not scaled and not nets:
            raise UsageError(f"the model has no {' or '.join(self.targets)} in {' or '.join(self.places)}", "targets")
        if self.library == "peft":
            fed = [site.path for site in nets]
            insert_by_peft(model, [*scaled, *nets], adapters, "IA3Config", feedforward_modules=fed)
            return
        for site in scaled:
            put_on(model, site.path, lambda linear: ScaledOutput(linear.out_features, adapters.choice))
        for site in nets:
            put_on(model, site.path, lambda linear: ScaledInput(linear.in_features, adapters.choice))


class Factors(nn.Module):
    """A vector of factors.

    Args:
        size: How many.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))

    def forward(self, x: Tensor) -> Tensor:
        """Multiply, `(..., size) -> (..., size)`.

        Args:
            x: States.
        """
        return x * self.weight


class ScaledOutput(Adapter):
    """Factors on what a layer gives.

    Args:
        size: Its output's width.
        choice: Its tasks.
    """

    def __init__(self, size: int, choice: TaskChoice) -> None:
        super().__init__()
        self.factors = PerTask(choice, lambda: Factors(size))

    def after(self, x: Tensor, y: Tensor) -> Tensor:
        """Multiply the output, `(..., out) -> (..., out)`.

        Args:
            x: Not looked at.
            y: What the layer gave.
        """
        return self.factors(y)

    def merged(self, weight: Tensor, bias: Tensor | None, task: str | None) -> tuple[Tensor, Tensor | None]:
        """The weights of the layer with the factors in them.

        Args:
            weight: `(out, in)`.
            bias: `(out,)`, or none.
            task: Whose factors; none: those of all tasks.
        """
        factors = self.factors.of(task).weight
        return weight * factors[:, None], None if bias is None else bias * factors


class ScaledInput(Adapter):
    """Factors on what a layer is given.

    Args:
        size: Its input's width.
        choice: Its tasks.
    """

    looks_at_input = True

    def __init__(self, size: int, choice: TaskChoice) -> None:
        super().__init__()
        self.factors = PerTask(choice, lambda: Factors(size))

    def before(self, x: Tensor) -> Tensor:
        """Multiply the input, `(..., in) -> (..., in)`.

        Args:
            x: What the layer would be given.
        """
        return self.factors(x)

    def merged(self, weight: Tensor, bias: Tensor | None, task: str | None) -> tuple[Tensor, Tensor | None]:
        """The weights of the layer with the factors in them.

        Args:
            weight: `(out, in)`.
            bias: `(out,)`, or none.
            task: Whose factors; none: those of all tasks.
        """
        return weight * self.factors.of(task).weight, bias
