"""What a checkpoint of VL-T5 or VL-BART holds, without loading it into a model.

describe("work_dir/vlbart/best")["parts"]["language_model"]
describe("Epoch30.pth")["config"]["d_model"]
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from ofakit.models.description import described
from ofakit.models.vl.configuration import VLConfig
from ofakit.models.vl.model import VLModel
from ofakit.models.vl.weights_configuration import config_of_weights, keys_of_weights
from ofakit.models.weights import read_content, tensors_of

__all__ = ["describe", "describe_weights"]


def describe(path: str | Path, known: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """What a checkpoint is, as `describe_weights` says, with its `format`.

    Args:
        path: A directory with `config.json` and the weights: ours, or one of Hugging Face's T5 or BART; a snapshot; or
            a file of weights, such as `Epoch30.pth`.
        known: As in `describe_weights`.

    Raises:
        UsageError: A file is missing or cannot be read.
    """
    path = Path(path)
    weights = tensors_of(read_content(path), path)
    config = VLConfig.from_pretrained(path) if (path / "config.json").exists() else None
    return {
        "format": "directory" if path.is_dir() else "state dict",
        **describe_weights(weights, known, config),
    }


def describe_weights(
    weights: Mapping[str, Tensor], known: Mapping[str, Any] | None = None, config: VLConfig | None = None
) -> dict[str, Any]:
    """What weights are, as `ofakit.models.description.described` says.

    Args:
        weights: By name.
        known: Keys of their configuration that they do not tell themselves; None where nothing is known.
        config: The whole configuration, where a directory has it.

    Returns:
        `backbone` is the network of timm through which the model sees, or None where it reads regions. `config` has
        only the keys that the weights tell, if nothing else is known.

    Raises:
        UsageError: They are not those of a VL-T5 or VL-BART.
    """
    only_weights = config is None and not known
    config = config or config_of_weights(weights, known)
    found = described(VLModel, config, weights)
    if only_weights:
        found["config"] = keys_of_weights(weights)
    return {**found, "backbone": config.timm_backbone}
