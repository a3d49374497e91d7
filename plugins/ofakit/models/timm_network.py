"""timm networks: created by name, with weights from a file or a hub, and their image normalisation.

    network = timm_network(section)
    load_weights(network, section)
    pixels = pixel_norm(section, network)

Source: https://github.com/huggingface/pytorch-image-models.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import timm
from torch import Tensor, nn

from ofakit.config.backbone import NetworkSection
from ofakit.errors import UsageError, did_you_mean
from ofakit.hub_ids import huggingface_id
from ofakit.models.batch_norm import with_joined_batch_norms
from ofakit.models.pixels import MEAN_STD, PixelNorm
from ofakit.models.weights import SUFFIXES, read_content, some_of, tensors_of

__all__ = ["load_weights", "pixel_norm", "timm_network"]


def timm_network(section: NetworkSection, classifier: bool = False) -> Any:
    """A network of random weights; its batch norms are those of the joined batch of all processes.

    Args:
        section: Its `name` and `options`.
        classifier: Whether it has timm's classifier.

    Raises:
        UsageError: There is no such network, or it does not take the options.
    """
    return with_joined_batch_norms(_made(section, classifier))


def load_weights(network: nn.Module, section: NetworkSection, classifier: bool = False) -> None:
    """The weights that a section names; none: the network stays as it is. What a smaller network lacks is left out.

    Args:
        network: From `timm_network`, whole or cut.
        section: Its `weights`, a file or a hub id, or else `pretrained`.
        classifier: As for `timm_network`.

    Raises:
        UsageError: They cannot be had, or do not fit.
    """
    source = section.weights
    hub_id = None if source is None or Path(source).suffix in SUFFIXES else huggingface_id(source)
    if source is not None and hub_id is None:
        _load(network, tensors_of(read_content(source), source), source)
    elif source is not None or section.pretrained:
        _load(network, _from_hub(section, hub_id, classifier), source or section.name)


def pixel_norm(section: NetworkSection, network: Any) -> PixelNorm:
    """What images are normalised by before the network.

    Args:
        section: Its `mean_std`.
        network: Whose own numbers timm knows; half and half where it does not.
    """
    if section.mean_std != "own":
        return PixelNorm(*MEAN_STD[section.mean_std])
    own, (mean, std) = network.pretrained_cfg or {}, MEAN_STD["half"]
    return PixelNorm(own.get("mean", mean), own.get("std", std))


def _made(section: NetworkSection, classifier: bool, **hub: Any) -> nn.Module:
    if not timm.is_model(section.name):
        near = did_you_mean(section.name, timm.list_models())
        raise UsageError(f"timm has no model {section.name!r}: {near.partition(' Available')[0]}", "name")
    options = section.options if classifier else {"num_classes": 0, **section.options}
    try:
        return timm.create_model(section.name, **hub, **options)
    except (TypeError, ValueError, RuntimeError, AssertionError) as error:
        if hub:
            raise  # `_from_hub` says that it is the hub's
        raise UsageError(
            f"timm's {section.name} does not accept {section.options!r:.200}: {str(error)[:300]}", "options"
        ) from None


def _from_hub(section: NetworkSection, hub_id: str | None, classifier: bool) -> Mapping[str, Tensor]:
    """Weights of a hub id, or those that timm has for the name."""
    overlay = {} if hub_id is None else {"pretrained_cfg_overlay": {"hf_hub_id": hub_id}}
    try:
        return _made(section, classifier, pretrained=True, **overlay).state_dict()
    except UsageError:
        raise
    except Exception as error:
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        wanted = section.weights or section.name
        raise UsageError(
            f"the hub has no weights for {wanted}: {reason}. Name a file of weights instead", "weights"
        ) from error


def _as_timm_names(network: nn.Module, weights: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """Weights of the authors of a network, such as those of OpenAI's CLIP, where timm knows their names."""
    convert = getattr(sys.modules[type(network).__module__], "checkpoint_filter_fn", None)
    try:
        return weights if convert is None else convert(dict(weights), network)
    except (KeyError, ValueError, RuntimeError, AttributeError):
        return weights  # of another network, which the caller says


def _load(network: nn.Module, weights: Mapping[str, Tensor], source: str) -> None:
    own = network.state_dict()
    if own.keys() - weights.keys():
        weights = _as_timm_names(network, weights)
    missing = sorted(own.keys() - weights.keys())
    if missing:
        raise UsageError(f"{source} does not belong to this backbone: it lacks {some_of(missing)}", "weights")
    different = [name for name in own if own[name].shape != weights[name].shape]
    if different:
        raise UsageError(f"{source} belongs to a backbone of other sizes: {some_of(different)}", "weights")
    network.load_state_dict({name: weights[name] for name in own})
