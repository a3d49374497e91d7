"""What a network is made of, counted without memory for its weights; or counted in a checkpoint.

described(OFAModel, OFAConfig.from_size("tiny"), {})["parts"]["encoder"]
counted(weights)["parameters"]
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ofakit.models.adapters.adding import trainable_share
from ofakit.models.weights import some_of

__all__ = ["counted", "described"]

BUFFERS = ("running_mean", "running_var", "num_batches_tracked", "position_ids", "final_logits_bias")
"""How the names of tensors end that no optimizer changes."""


def described(make: Callable[[Any], Any], config: Any, weights: Mapping[str, Tensor]) -> dict[str, Any]:
    """Sizes of a network and of the checkpoint that holds it.

    Args:
        make: Makes the network from its configuration, such as its class.
        config: The configuration, with `adapter`, `replace` and `to_dict`.
        weights: The tensors of the checkpoint, by name.

    Returns:
        The number of `parameters`, all told and in `parts`, by the names that `train.freeze` takes, which may overlap;
        `adapter`, the configuration of the adapters, or None, whose parameters are in `parts`, too;
        `trainable_share`, from 0 to 1, that of the adapters and of what learns beside them, or None without adapters;
        `tensors` and `dtypes` of the checkpoint; `config`; and `unknown`, how many of the tensors are not the
        network's and what some are called, where there are any.
    """
    with torch.device("meta"):
        model = make(config)
        bare = model if config.adapter is None else make(config.replace(adapter=None))
    parts = {name: _size(model.parameters_of(name)) for name in model.parts()}
    if config.adapter is not None:
        parts["adapter"] = _size(model.parameters()) - _size(bare.parameters())
    unknown = model.missing_and_unexpected(weights)[1]
    return {
        **counted(weights),
        "parameters": _size(model.parameters()),
        "parts": parts,
        "adapter": config.adapter,
        "trainable_share": None if config.adapter is None else trainable_share(model),
        "config": config.to_dict(),
        **({"unknown": {"tensors": len(unknown), "names": some_of(unknown)}} if unknown else {}),
    }


def counted(weights: Mapping[str, Tensor]) -> dict[str, Any]:
    """The sizes of a checkpoint whose network is not known.

    Args:
        weights: Its tensors by name, those that are shared once.

    Returns:
        The number of `parameters`, without statistics and other buffers; `tensors` and `dtypes`.
    """
    learns = (value for name, value in weights.items() if value.is_floating_point() and not name.endswith(BUFFERS))
    return {
        "parameters": sum(value.numel() for value in learns),
        "tensors": len(weights),
        "dtypes": sorted({str(value.dtype).removeprefix("torch.") for value in weights.values()}),
    }


def _size(parameters: Iterable[nn.Parameter]) -> int:
    """How many numbers there are; those that are shared count once."""
    return sum(parameter.numel() for parameter in {id(parameter): parameter for parameter in parameters}.values())
