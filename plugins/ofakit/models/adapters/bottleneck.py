"""A small net with a residual on a sublayer's output: x + U g(D x + b) + c.

    {"type": "bottleneck", "reduction": 8}
    {"type": "bottleneck", "reduction": 8, "tasks": ["vqa", "caption"], "share_up": true}

One for all tasks, one for each, or half shared: a projection of all tasks and one of each. Source: Houlsby et al. 2019,
https://arxiv.org/abs/1902.00751; the numbers are those of VL-Adapter, Sung et al. 2022,
https://arxiv.org/abs/2112.06825, which puts it after the last linear layer of a sublayer, before dropout, residual and
norm. With small weights it starts near the identity.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Literal

from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from ofakit.errors import UsageError
from ofakit.models.adapters.base import AdapterSettings, InitStd, initialize
from ofakit.models.adapters.linear import Adapter, put_on
from ofakit.models.adapters.sites import Place, Site
from ofakit.models.adapters.tasks import AdapterSet, PerTask, TaskChoice

__all__ = ["Bottleneck", "BottleneckAdapter", "BottleneckSettings", "activation_named", "narrow_width"]

Activation = Literal["gelu_new", "gelu", "relu", "silu"]

_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu_new": lambda x: F.gelu(x, approximate="tanh"),
    "gelu": F.gelu,
    "relu": F.relu,
    "silu": F.silu,
}


class BottleneckSettings(AdapterSettings):
    """What all adapters with a bottleneck have."""

    layer_norms: bool = Field(True, description="train the layer norms of the network")
    reduction: int = Field(
        8, ge=1, le=100_000, description="the bottleneck is this many times narrower than the network"
    )
    places: list[Place] = Field(
        ["self_attention", "cross_attention", "feed_forward"], min_length=1, description="sublayers that get an adapter"
    )
    activation: Activation = Field("gelu_new", description="gelu_new: GELU with its tanh approximation")
    norm_before: bool = Field(False, description="a layer norm before it, inside the residual")
    norm_after: bool = Field(False, description="a layer norm after it, inside the residual")

    def insert(self, model: nn.Module, sites: Sequence[Site], adapters: AdapterSet) -> None:
        """Put one on the output of every sublayer of the wanted places.

        Args:
            model: Changed in place.
            sites: Where adapters can sit in it.
            adapters: Of the model.

        Raises:
            UsageError: No sublayer is of the wanted places, or the bottleneck would have no width.
        """
        wanted = [site for site in sites if site.role == "output" and site.place in self.places]
        if not wanted:
            raise UsageError(f"the model has no {' or '.join(self.places)} for adapters to sit on", "places")
        self.prepare(model, wanted, adapters)
        for site in wanted:
            put_on(model, site.path, lambda linear, site=site: self.adapter(site, adapters))  # type: ignore[misc]

    def prepare(self, model: nn.Module, sites: Sequence[Site], adapters: AdapterSet) -> None:
        """Make what several adapters share; by default nothing.

        Args:
            model: The model.
            sites: Those that get an adapter.
            adapters: Of the model; changed in place.

        Raises:
            UsageError: The keys do not fit the model.
        """
        for features in sorted({site.features for site in sites}):
            narrow_width(features, self.reduction)

    @abstractmethod
    def adapter(self, site: Site, adapters: AdapterSet) -> Adapter:
        """The adapter of a sublayer.

        Args:
            site: The sublayer's last linear layer.
            adapters: Of the model.
        """


class BottleneckAdapter(Adapter):
    """x + norm(up(activation(down(norm(x))))).

    Args:
        choice: Its tasks.
        down: Makes a projection into the bottleneck.
        up: Makes one out of it.
        width: Of the states.
        settings: The keys.
        share_down: One projection into the bottleneck for all tasks.
        share_up: One out of it.
    """

    def __init__(
        self,
        choice: TaskChoice,
        down: Callable[[], nn.Module],
        up: Callable[[], nn.Module],
        width: int,
        settings: BottleneckSettings,
        share_down: bool = False,
        share_up: bool = False,
    ) -> None:
        super().__init__()
        self.down, self.up = PerTask(choice, down, share_down), PerTask(choice, up, share_up)
        self.activation = activation_named(settings.activation)
        self.norm_before = nn.LayerNorm(width) if settings.norm_before else None
        self.norm_after = nn.LayerNorm(width) if settings.norm_after else None

    def after(self, x: Tensor, y: Tensor) -> Tensor:
        """Adapt the output, `(..., d) -> (..., d)`.

        Args:
            x: Not looked at.
            y: The sublayer's output.
        """
        z = y if self.norm_before is None else self.norm_before(y)
        z = self.up(self.activation(self.down(z)))
        return y + (z if self.norm_after is None else self.norm_after(z))


class Bottleneck(BottleneckSettings):
    """Two linear layers with an activation between them."""

    share_down: bool = Field(False, description="all tasks share the down-projection")
    share_up: bool = Field(False, description="all tasks share the up-projection")
    init_std: InitStd = Field(
        0.02, description="standard deviation of new weights; null: PyTorch's default for linear layers"
    )

    def adapter(self, site: Site, adapters: AdapterSet) -> BottleneckAdapter:
        """The adapter of a sublayer.

        Args:
            site: The sublayer's last linear layer.
            adapters: Of the model.
        """
        width, narrow = site.features, narrow_width(site.features, self.reduction)
        shared = self.share_down, self.share_up
        down, up = (lambda: nn.Linear(width, narrow)), (lambda: nn.Linear(narrow, width))
        adapter = BottleneckAdapter(adapters.choice, down, up, width, self, *shared)
        initialize(adapter, self.init_std)
        return adapter


def activation_named(name: str) -> Callable[[Tensor], Tensor]:
    """An activation.

    Args:
        name: One of the key `activation`.
    """
    return _ACTIVATIONS[name]


def narrow_width(width: int, reduction: int) -> int:
    """The width of a bottleneck.

    Args:
        width: Of the states.
        reduction: How many times narrower it is.

    Raises:
        UsageError: Nothing would be left.

    >>> narrow_width(768, 8)
    96
    """
    if width < reduction:
        raise UsageError(f"reduction {reduction} is too large for a width of {width}; lower it", "reduction")
    return width // reduction
