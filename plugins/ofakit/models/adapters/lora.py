"""Low-rank changes of weights: W x + (alpha / r) B A x.

    {"type": "lora", "rank": 8, "alpha": 32, "targets": ["query", "value"]}

B starts at 0, so that the model starts as it was; afterwards the change can be merged into the weights. Source: Hu et
al. 2021, https://arxiv.org/abs/2106.09685. With `"library": "peft"` it is peft's, on networks of Hugging Face.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from pydantic import Field
from torch import Tensor, nn

from ofakit.errors import UsageError
from ofakit.models.adapters._peft import insert_by_peft
from ofakit.models.adapters.base import LinearLayerSettings
from ofakit.models.adapters.linear import Adapter, put_on
from ofakit.models.adapters.sites import Role, Site
from ofakit.models.adapters.tasks import AdapterSet, PerTask, TaskChoice

__all__ = ["Lora", "LoraAdapter"]


class Lora(LinearLayerSettings):
    """Low-rank changes of linear layers."""

    rank: int = Field(8, ge=1, le=10_000, description="rank of the update")
    alpha: float = Field(32, gt=0, le=1e6, description="the update is scaled by alpha / rank")
    dropout: float = Field(0.1, ge=0, lt=1, description="dropout on the input of the update, in training")
    targets: list[Role] = Field(["query", "value"], min_length=1, description="linear layers of a sublayer to adapt")

    def insert(self, model: nn.Module, sites: Sequence[Site], adapters: AdapterSet) -> None:
        """Put one on every linear layer of the wanted places and roles.

        Args:
            model: Changed in place.
            sites: Where adapters can sit in it.
            adapters: Of the model.

        Raises:
            UsageError: There is no such layer.
        """
        wanted = [site for site in sites if site.role in self.targets and site.place in self.places]
        if not wanted:
            raise UsageError(f"the model has no {' or '.join(self.targets)} in {' or '.join(self.places)}", "targets")
        if self.library == "peft":
            keys = {"r": self.rank, "lora_alpha": self.alpha, "lora_dropout": self.dropout}
            insert_by_peft(model, wanted, adapters, "LoraConfig", **keys)
            return
        for site in wanted:
            put_on(model, site.path, lambda linear: LoraAdapter(linear, adapters.choice, self))


class LoraAdapter(Adapter):
    """(alpha / r) B A x beside a linear layer.

    Args:
        linear: The layer.
        choice: Its tasks.
        settings: The keys.
    """

    looks_at_input = True

    def __init__(self, linear: nn.Linear, choice: TaskChoice, settings: Lora) -> None:
        super().__init__()
        self.scale = settings.alpha / settings.rank
        self.dropout = nn.Dropout(settings.dropout)
        self.a = PerTask(choice, lambda: nn.Linear(linear.in_features, settings.rank, bias=False))
        self.b = PerTask(choice, lambda: nn.Linear(settings.rank, linear.out_features, bias=False))
        for weight in self.a.parameters():
            nn.init.kaiming_uniform_(weight, a=math.sqrt(5))
        for weight in self.b.parameters():
            nn.init.zeros_(weight)

    def after(self, x: Tensor, y: Tensor) -> Tensor:
        """Add the change, `(..., out) -> (..., out)`.

        Args:
            x: `(..., in)`.
            y: What the layer gave.
        """
        return y + self.b(self.a(self.dropout(x))) * self.scale

    def merged(self, weight: Tensor, bias: Tensor | None, task: str | None) -> tuple[Tensor, Tensor | None]:
        """The weights of the layer with the change in them.

        Args:
            weight: `(out, in)`.
            bias: `(out,)`, or none.
            task: Whose change; none: that of all tasks.
        """
        return weight + self.b.of(task).weight @ self.a.of(task).weight * self.scale, bias
