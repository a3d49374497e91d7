"""Saves adapters alone: a folder of a few MB that names the model they belong to.

adapter.safetensors   the weights of the adapters, and those of the network that learnt beside them
adapter.json          their configuration, the base model's name and the fingerprint of its other weights

An adapter is refused by a model whose other weights are not those that it learnt beside.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from ofakit.errors import UsageError
from ofakit.files import replace_file, write_text
from ofakit.input_files import read_json_file
from ofakit.json_text import to_json
from ofakit.models.adapters._peft import BASE, peft_layers
from ofakit.models.adapters.adding import adapter_of, adapter_settings, add_adapters, learning_beside
from ofakit.models.adapters.base import AdapterSettings
from ofakit.models.adapters.linear import AdaptedLinear
from ofakit.models.adapters.prompt import PromptStates
from ofakit.models.adapters.tasks import AdapterSet
from ofakit.models.weights import read_content, some_of

__all__ = ["ADAPTER", "WEIGHTS", "fingerprint", "load_adapter", "read_adapter", "save_adapter"]

ADAPTER, WEIGHTS = "adapter.json", "adapter.safetensors"
FORMAT = "ofakit-adapter"


def save_adapter(model: nn.Module, folder: str | Path, base: str | None = None) -> Path:
    """Write the adapters of a model, and what learnt beside them.

    Args:
        model: With adapters.
        folder: Where to; made if it is not there.
        base: What the model without them is called, such as a hub id or a directory.

    Returns:
        The folder.

    Raises:
        UsageError: The model has no adapters.
        SaveError: The disk is full or permission is missing.
    """
    spec = adapter_of(model)
    if spec is None:
        raise UsageError("the model has no adapters to save; set model.adapter in the configuration to add some")
    folder, settings = Path(folder), adapter_settings(spec)
    weights = _weights(model, settings)
    about = {"format": FORMAT, "adapter": spec, "base": {"name": base, "fingerprint": fingerprint(model, settings)}}
    folder.mkdir(parents=True, exist_ok=True)
    with replace_file(folder / WEIGHTS) as new:
        save_file({name: value.detach().cpu().contiguous() for name, value in weights.items()}, new)
    write_text(folder / ADAPTER, to_json(about, indent=1) + "\n")
    return folder


def read_adapter(folder: str | Path) -> dict[str, Any]:
    """What `adapter.json` of a folder says.

    Args:
        folder: As `save_adapter` wrote it.

    Returns:
        `adapter`, the configuration, and `base`, with `name` and `fingerprint`.

    Raises:
        UsageError: It is no such folder.
    """
    found = read_json_file(Path(folder) / ADAPTER, "the description of an adapter")
    base = found.get("base") if isinstance(found, dict) else None
    if not isinstance(base, dict) or found.get("format") != FORMAT or not isinstance(found.get("adapter"), dict):
        raise UsageError(f"{Path(folder) / ADAPTER}: expected an adapter that ofakit wrote, found {str(found)[:80]}")
    return found


def load_adapter(model: nn.Module, folder: str | Path) -> nn.Module:
    """Put saved adapters into their base model.

    Args:
        model: The base, without adapters; changed in place, unless the adapters are refused.
        folder: As `save_adapter` wrote it.

    Returns:
        The model.

    Raises:
        UsageError: The folder holds no adapter, or one of another model.
    """
    about, weights = read_adapter(folder), read_content(Path(folder) / WEIGHTS)
    settings = adapter_settings(about["adapter"])
    wanted, found = about["base"].get("fingerprint"), fingerprint(model, settings)
    if wanted != found:
        raise UsageError(
            f"the adapter in {folder} belongs to another model: it was trained with "
            f"{about['base'].get('name') or 'one'} of fingerprint {wanted}, but this model's is {found}. Load it into "
            "its own base"
        )
    add_adapters(model, about["adapter"])
    own = _weights(model, settings)
    wrong = sorted({*own} ^ {*weights}) or [name for name in own if own[name].shape != weights[name].shape]
    if wrong:
        raise UsageError(f"{folder} does not fit its own adapter.json: {some_of(wrong)}")
    with torch.no_grad():
        for name, value in own.items():
            value.copy_(weights[name])
    return model


def fingerprint(model: nn.Module, settings: AdapterSettings) -> str:
    """What tells a base model: a hash of the weights that adapters with these keys leave as they are.

    Args:
        model: With adapters or without; the fingerprint is the same.
        settings: The keys of the adapters.
    """
    left_out = {id(value) for value in _weights(model, settings).values()}
    digest = hashlib.sha256()
    named = {name.replace(BASE, "."): value for name, value in model.state_dict(keep_vars=True).items()}
    for name, value in sorted(named.items()):
        if id(value) not in left_out:
            digest.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
            digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()[:32]


def _weights(model: nn.Module, settings: AdapterSettings) -> Mapping[str, Tensor]:
    """The weights of the adapters and those that learn beside them; shared ones once."""
    added: list[nn.Module] = [m for m in model.modules() if isinstance(m, AdapterSet | PromptStates)]
    added += [module.adapter for module in model.modules() if isinstance(module, AdaptedLinear)]
    kept = {id(value) for module in added for value in module.parameters()}
    for layer in peft_layers(model).values():
        kept |= {id(value) for name, value in layer.named_parameters() if not name.startswith("base_layer.")}
    kept |= {id(value) for value in learning_beside(model, settings)}
    return {name: value for name, value in model.named_parameters() if id(value) in kept}
