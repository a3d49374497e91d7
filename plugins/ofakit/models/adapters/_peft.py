"""LoRA and (IA)³ from the library peft, on Hugging Face networks: `"library": "peft"`.

Weights then stand under peft's names, `….base_layer.weight` and `….lora_A.default.weight`. The numbers are those of our
own, which also sit on other models and tell tasks apart; peft's layers can be looked at with its own tools.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

from torch import nn

from ofakit.errors import UsageError
from ofakit.models.adapters.sites import Site
from ofakit.models.adapters.tasks import AdapterSet

__all__ = ["BASE", "insert_by_peft", "merge_peft", "peft_layers"]

BASE = ".base_layer."
"""What stands in the name of a weight of the network below peft's layer."""


def insert_by_peft(model: nn.Module, sites: Sequence[Site], adapters: AdapterSet, config: str, **keys: Any) -> None:
    """Let peft put its layers into a model.

    Args:
        model: Changed in place.
        sites: The linear layers.
        adapters: Of the model.
        config: The name of peft's configuration class.
        **keys: Its keys but `target_modules`.

    Raises:
        UsageError: peft is not installed, a layer is in no network of Hugging Face, or tasks have their own.
    """
    try:
        import peft
    except ImportError:
        raise UsageError("adapters by peft need peft: pip install 'ofakit[adapters]', or leave out library") from None
    if adapters.choice.names is not None:
        raise UsageError("peft does not support separate adapters per task; leave out tasks, or library", "library")
    outside = next((site.path for site in sites if not _is_hugging_face(model, site.path)), None)
    if outside is not None:
        raise UsageError(
            f"peft supports Hugging Face networks only, and {outside} is not in one; leave out library", "library"
        )
    wanted = getattr(peft, config)(target_modules=[site.path for site in sites], **keys)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of weights that modules share, which adapters leave as they are
        peft.inject_adapter_in_model(wanted, model)


def peft_layers(model: nn.Module) -> dict[str, Any]:
    """The layers of peft in a model, by their dotted names.

    Args:
        model: Any.
    """
    found = {name: m for name, m in model.named_modules() if type(m).__module__.startswith("peft.tuners.")}
    return {name: module for name, module in found.items() if hasattr(module, "base_layer")}


def merge_peft(model: nn.Module) -> None:
    """Make peft's layers part of the weights, and put the network's own back.

    Args:
        model: Changed in place.
    """
    for path, layer in peft_layers(model).items():
        layer.merge()
        owner, _, name = path.rpartition(".")
        setattr(model.get_submodule(owner), name, layer.get_base_layer())


def _is_hugging_face(model: nn.Module, path: str) -> bool:
    """Whether a module is a part of a network of transformers."""
    from transformers import PreTrainedModel

    names = path.split(".")
    return any(isinstance(model.get_submodule(".".join(names[:n])), PreTrainedModel) for n in range(len(names)))
