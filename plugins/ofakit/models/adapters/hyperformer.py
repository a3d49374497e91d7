"""Bottleneck adapters whose weights are made by nets that all layers and tasks share.

    {"type": "hyperformer", "tasks": ["vqa", "caption"], "reduction": 8, "projected": 8}
    {"type": "hyperformer", "tasks": ["vqa", "caption"], "one_net": true, "norm_before": true}

For each task there is a vector, for each layer another: e = norm(W2 relu(W1 [task; layer])), and each weight and bias
of an adapter is a linear function of e. Encoder and decoder have nets of their own and share the vectors of tasks. With
`one_net` one net serves all sublayers, which then have a vector each, too; layer norms of adapters are made likewise.
Source: Karimi Mahabadi et al. 2021, https://arxiv.org/abs/2106.04489.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast, get_args

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from ofakit.models.adapters.base import InitStd, initialize
from ofakit.models.adapters.bottleneck import BottleneckSettings, activation_named, narrow_width
from ofakit.models.adapters.linear import Adapter
from ofakit.models.adapters.sites import Place, Site, width_of
from ofakit.models.adapters.tasks import ALL, AdapterSet, TaskChoice

__all__ = ["Hyperformer", "HyperNet"]

PLACES: tuple[Place, ...] = ("feed_forward", "self_attention", "cross_attention")
"""In the order of their vectors."""

Vector = tuple[Tensor, Tensor]
"""A weight and a bias."""


class Hyperformer(BottleneckSettings):
    """Generated bottleneck adapters."""

    one_net: bool = Field(
        False, description="one hypernetwork for all sublayers; otherwise one for each kind of sublayer"
    )
    task_width: int = Field(512, ge=1, le=100_000, description="width of the vectors of tasks, layers and sublayers")
    hidden: int = Field(128, ge=1, le=100_000, description="width of the layer between these and e")
    projected: int = Field(8, ge=1, le=100_000, description="width of e")
    init_std: InitStd = Field(
        0.01, description="standard deviation of new weights; null: PyTorch's default for linear layers"
    )

    def prepare(self, model: nn.Module, sites: Sequence[Site], adapters: AdapterSet) -> None:
        """Make the vectors of tasks, and a net for each encoder and decoder.

        Args:
            model: The model.
            sites: Those that get an adapter.
            adapters: Of the model; it gets them as `task_vectors` and `nets`.

        Raises:
            UsageError: The bottleneck would have no width.
        """
        like = model.get_submodule(sites[0].path).weight
        names = adapters.choice.names or (ALL,)
        with torch.device(cast(Tensor, like).device):
            vectors = {name: nn.Parameter(torch.randn(self.task_width)) for name in names}
            adapters.task_vectors = nn.ParameterDict(vectors)
            nets = {}
            for stack in dict.fromkeys(site.stack for site in sites):
                own = [site for site in sites if site.stack == stack]
                places = [place for place in PLACES if any(site.place == place for site in own)]
                layers = 1 + max(site.layer for site in own)
                nets[_net_name(stack)] = HyperNet(self, adapters, places, layers, width_of(sites, stack))
            adapters.nets = nn.ModuleDict(nets)
        adapters.to(cast(Tensor, like).dtype)

    def adapter(self, site: Site, adapters: AdapterSet) -> GeneratedAdapter:
        """The adapter of a sublayer.

        Args:
            site: The sublayer's last linear layer.
            adapters: Of the model.
        """
        net = cast(nn.ModuleDict, adapters.nets)[_net_name(site.stack)]
        return GeneratedAdapter(cast(HyperNet, net), site.layer, site.place, self.activation)


class WeightMaker(nn.Module):
    """A weight and a bias as linear functions of e.

    Args:
        source: Width of e.
        inputs: Columns of the weight, or none for a vector.
        outputs: Rows of it.
    """

    def __init__(self, source: int, inputs: int | None, outputs: int) -> None:
        super().__init__()
        self.shape = (outputs,) if inputs is None else (outputs, inputs)
        self.weight = nn.Linear(source, outputs * (inputs or 1))
        self.bias = nn.Linear(source, outputs)

    def forward(self, e: Tensor) -> Vector:
        """Make them.

        Args:
            e: `(source,)`.
        """
        return self.weight(e).view(self.shape), self.bias(e)


class HyperNet(nn.Module):
    """The nets of an encoder or decoder.

    Args:
        settings: The keys.
        adapters: Whose vectors of tasks it reads.
        places: Sublayers that it makes adapters for.
        layers: How many layers there are.
        width: Of the states.
    """

    def __init__(
        self, settings: Hyperformer, adapters: AdapterSet, places: Sequence[Place], layers: int, width: int
    ) -> None:
        super().__init__()
        self._adapters = (adapters,)  # in a tuple, so that it is not part of this module
        size, narrow, e = settings.task_width, narrow_width(width, settings.reduction), settings.projected
        self.layers = nn.Embedding(layers, size)
        self.places = nn.Embedding(len(get_args(Place)), size) if settings.one_net else None
        sources = size * (3 if settings.one_net else 2)
        self.reader = nn.Sequential(nn.Linear(sources, settings.hidden), nn.ReLU(), nn.Linear(settings.hidden, e))
        self.norm = nn.LayerNorm(e, eps=1e-6)
        makers = {"down": (width, narrow), "up": (narrow, width)}
        wanted = {"norm_before": settings.norm_before, "norm_after": settings.norm_after}
        norms = {name: (None, width) for name, there in wanted.items() if there}
        self.makers = nn.ModuleDict(
            {
                place: nn.ModuleDict({name: WeightMaker(e, *shape) for name, shape in {**makers, **norms}.items()})
                for place in ([ALL] if settings.one_net else places)
            }
        )
        for part in (self.reader, self.makers):
            initialize(part, settings.init_std)

    @property
    def choice(self) -> TaskChoice:
        """The tasks, and the chosen one."""
        return self._adapters[0].choice

    def forward(self, layer: int, place: Place) -> dict[str, Vector]:
        """Weight and bias of everything in an adapter, by name.

        Args:
            layer: The layer.
            place: The sublayer.

        Raises:
            UsageError: Each task has a vector of its own, and none is chosen.
        """
        vectors = cast(nn.ParameterDict, self._adapters[0].task_vectors)
        parts = [vectors[self.choice.key()], self.layers.weight[layer]]
        if self.places is not None:
            parts.append(self.places.weight[PLACES.index(place)])
        e = self.norm(self.reader(torch.cat(parts)))
        makers = cast(nn.ModuleDict, self.makers[ALL if self.places is not None else place])
        return {name: maker(e) for name, maker in makers.items()}


class GeneratedAdapter(Adapter):
    """x + norm(up(activation(down(norm(x))))), all made by a net.

    Args:
        net: The net.
        layer: The layer.
        place: The sublayer.
        activation: Its name.
    """

    def __init__(self, net: HyperNet, layer: int, place: Place, activation: str) -> None:
        super().__init__()
        self._net = (net,)
        self.layer, self.place = layer, place
        self.activation = activation_named(activation)

    def after(self, x: Tensor, y: Tensor) -> Tensor:
        """Adapt the output, `(..., d) -> (..., d)`.

        Args:
            x: Not looked at.
            y: The sublayer's output.
        """
        made = self._net[0](self.layer, self.place)
        z = F.layer_norm(y, y.shape[-1:], *made["norm_before"]) if "norm_before" in made else y
        z = F.linear(self.activation(F.linear(z, *made["down"])), *made["up"])
        return y + (F.layer_norm(z, z.shape[-1:], *made["norm_after"]) if "norm_after" in made else z)


def _net_name(stack: str) -> str:
    return stack.replace(".", "_")
