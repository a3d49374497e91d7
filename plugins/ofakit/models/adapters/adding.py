"""Put adapters into a model and freeze the rest of it.

add_adapters(model, {"type": "bottleneck", "reduction": 8, "layer_norms": true}, tasks=["vqa", "caption"])
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from torch import nn

from ofakit.config.load import checked
from ofakit.errors import UsageError, did_you_mean
from ofakit.models.adapters.base import AdapterSettings
from ofakit.models.adapters.kinds import ADAPTERS
from ofakit.models.adapters.linear import adapted_layers
from ofakit.models.adapters.sites import Site, sites_of
from ofakit.models.adapters.tasks import AdapterSet, TaskChoice, adapter_set_of
from ofakit.models.base import Model, Seq2SeqModel

__all__ = ["adapter_of", "adapter_settings", "add_adapters", "learning_beside", "note_adapter", "trainable_share"]

Network = TypeVar("Network", bound=nn.Module)

PROJECTIONS = ("visual_embedding", "image_proj")
"""Names of the modules that bring features of images to the network's width."""

BACKBONES = ("visual", "backbone")
"""Names of the parts that look at images."""


def add_adapters(model: Network, spec: Mapping[str, Any], tasks: Sequence[str] | None = None) -> Network:
    """Put adapters into a model; they learn, and of the model only what their keys name.

    Args:
        model: VL-T5, VL-BART, OFA, a retriever or a network of Hugging Face; changed in place.
        spec: A `type`, a file of `ofakit/models/adapters`, and the keys of that kind.
        tasks: Those that have adapters of their own each, instead of the key `tasks`.

    Returns:
        The model.

    Raises:
        UsageError: There is no such kind, a key is wrong, the model has adapters already, or none fit into it.
    """
    settings = adapter_settings(spec if tasks is None else {**spec, "tasks": list(tasks)})
    if adapter_set_of(model) is not None or adapted_layers(model):
        found = (adapter_of(model) or {}).get("type", "others")
        raise UsageError(f"the model already has adapters of type {found!r}; merge them first, or use its base")
    sites = sites_of(model)
    _refuse_unknown_parts(model, settings.also)
    old = {id(parameter) for parameter in model.parameters()}
    adapters = AdapterSet({"type": spec["type"], **settings.model_dump(mode="json")}, TaskChoice(settings.tasks))
    settings.insert(model, sites, adapters)
    model.add_module("adapter_set", adapters)
    _freeze(model, old, settings)
    for parameter in learning_beside(model, settings):
        parameter.requires_grad_(True)
    note_adapter(model, adapters.spec)
    return model


def adapter_settings(spec: Mapping[str, Any]) -> AdapterSettings:
    """The checked keys of an adapter.

    Args:
        spec: A `type`, and the keys of that kind.

    Raises:
        UsageError: There is no such kind, or a key is unknown or out of its range.
    """
    if not isinstance(spec, Mapping) or not isinstance(spec.get("type"), str):
        raise UsageError(f"an adapter needs a 'type', found {spec!r}: {did_you_mean('', ADAPTERS.names())}")
    return checked(ADAPTERS.get(spec["type"]), {key: value for key, value in spec.items() if key != "type"})


def adapter_of(model: nn.Module) -> dict[str, Any] | None:
    """The configuration of a model's adapters, every key of it; none where it has none.

    Args:
        model: Any.
    """
    adapters = adapter_set_of(model)
    return None if adapters is None else dict(adapters.spec)


def note_adapter(model: nn.Module, spec: Mapping[str, Any] | None) -> None:
    """Write into a model's configuration which adapters it has, where the configuration has a key for that.

    Args:
        model: Changed in place; others may have its old configuration.
        spec: As `adapter_of` gives it.
    """
    config: Any = getattr(model, "config", None)
    if hasattr(config, "adapter") and hasattr(config, "replace"):
        model.config = config.replace(adapter=None if spec is None else dict(spec))


def trainable_share(model: nn.Module) -> float:
    """The share of a model's parameters that learn, from 0 to 1; a parameter that several modules share counts once.

    Args:
        model: Any.

    >>> model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 1))
    >>> _ = model[0].requires_grad_(False)
    >>> trainable_share(model)
    0.25
    """
    sizes = [(parameter.numel(), parameter.requires_grad) for parameter in model.parameters()]
    return sum(size for size, learns in sizes if learns) / max(1, sum(size for size, _ in sizes))


def _freeze(model: nn.Module, old: set[int], settings: AdapterSettings) -> None:
    """Stop what was there before from learning."""
    if isinstance(model, Model):  # a frozen backbone rests in other ways, too
        model.freeze([part for part in BACKBONES if part in model.parts() and part not in settings.also])
    for parameter in model.parameters():
        if id(parameter) in old:
            parameter.requires_grad_(False)


def learning_beside(model: nn.Module, settings: AdapterSettings) -> list[nn.Parameter]:
    """What of the network learns beside the adapters; what is the model's own, such as a loss's scale, always does.

    Args:
        model: With the adapters, or without them yet.
        settings: The keys of the adapters.
    """
    sites = sites_of(model)
    parts = model.parts() if isinstance(model, Model) else {}
    also = [*settings.also, *(["projection"] if "projection" in parts else [])]
    modules = [module for name in also for module in parts[name]]
    if settings.visual:
        modules += [module for name, module in model.named_modules() if name.rpartition(".")[2] in PROJECTIONS]
    if settings.layer_norms:
        modules += [module for module in _beside_backbones(model, sites) if _is_norm(module)]
    tables = {id(table) for table in model.token_embeddings()} if isinstance(model, Seq2SeqModel) else set()
    if "embeddings" in settings.also:
        tables = set()
    found = [parameter for module in modules for parameter in module.parameters() if id(parameter) not in tables]
    found += model.parameters(recurse=False)
    if settings.biases:
        found += [own for m in _beside_backbones(model, sites) if (own := m._parameters.get("bias")) is not None]
    return found


def _beside_backbones(model: nn.Module, sites: Sequence[Site]) -> list[nn.Module]:
    """The modules of a model without those of a visual network in which no adapter sits."""
    parts = model.parts() if isinstance(model, Model) else {}
    held = {id(module) for site in sites for module in [model.get_submodule(site.path)]}
    found = [network for part in BACKBONES for network in parts.get(part, ())]
    networks = [network for network in found if not held & {id(module) for module in network.modules()}]
    left_out = {id(module) for network in networks for module in network.modules()}
    return [module for module in model.modules() if id(module) not in left_out]


def _is_norm(module: nn.Module) -> bool:
    """Whether a module is a layer norm, one of root mean squares included."""
    return isinstance(module, nn.LayerNorm | nn.RMSNorm) or type(module).__name__.endswith(("LayerNorm", "RMSNorm"))


def _refuse_unknown_parts(model: nn.Module, names: Sequence[str]) -> None:
    if names and not isinstance(model, Model):
        raise UsageError(f"a {type(model).__name__} has no named parts; leave out {list(names)}", "also")
    if isinstance(model, Model):
        model.refuse_unknown_parts(names, "also")
