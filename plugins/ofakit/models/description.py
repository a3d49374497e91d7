"""What a network is made of, counted without memory for its weights.

described(OFAModel, OFAConfig.from_size("tiny"), {})["parts"]["encoder"]
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ofakit.models.base import Model

__all__ = ["described"]


def described(make: Callable[[Any], Model], config: Any, weights: Mapping[str, Tensor]) -> dict[str, Any]:
    """Sizes of a network and of the checkpoint that holds it.

    Args:
        make: Makes the network from its configuration, such as its class.
        config: The configuration, with `adapter`, `replace` and `to_dict`.
        weights: The tensors of the checkpoint, by name.

    Returns:
        The number of `parameters`, all told and in `parts`, by the names that `train.freeze` takes, which may overlap;
        `adapter`, the configuration of the adapters, or None, whose parameters are in `parts`, too; `tensors` and
        `dtypes` of the checkpoint; and `config`.
    """
    with torch.device("meta"):
        model = make(config)
        bare = model if config.adapter is None else make(config.replace(adapter=None))
    parts = {name: _size(model.parameters_of(name)) for name in model.parts()}
    if config.adapter is not None:
        parts["adapter"] = _size(model.parameters()) - _size(bare.parameters())
    return {
        "parameters": _size(model.parameters()),
        "parts": parts,
        "adapter": config.adapter,
        "tensors": len(weights),
        "dtypes": sorted({str(value.dtype).removeprefix("torch.") for value in weights.values()}),
        "config": config.to_dict(),
    }


def _size(parameters: Iterable[nn.Parameter]) -> int:
    """How many numbers there are; those that are shared count once."""
    return sum(parameter.numel() for parameter in {id(parameter): parameter for parameter in parameters}.values())
