"""What a checkpoint is, without loading it into a model.

describe("ofa_base.pt")["parameters"]
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from ofakit.models.description import described
from ofakit.models.ofa.configuration import OFAConfig
from ofakit.models.ofa.fairseq import config_from_weights, fairseq_settings, from_fairseq_names, inert_classes
from ofakit.models.ofa.model import OFAModel
from ofakit.models.weights import WEIGHTS, read_content, tensors_of

__all__ = ["describe", "describe_weights"]


def describe(path: str | Path, known: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """What a checkpoint is: its `format`, and what `describe_weights` says.

    Args:
        path: As in `load_state_dict_file`.
        known: As in `describe_weights`.

    Raises:
        UsageError: As `load_state_dict_file` and `config_of`.
    """
    path = Path(path)
    content = read_content(path, inert_classes)
    weights = from_fairseq_names(tensors_of(content, path))
    beside = path if path.is_dir() else path.parent
    config = None
    if (path.is_dir() or path.name in WEIGHTS) and (beside / "config.json").exists():
        config = OFAConfig.from_pretrained(beside)
    kind = "directory" if path.is_dir() else "fairseq" if "model" in content else "state dict"
    return {"format": kind, **describe_weights(weights, {**fairseq_settings(content), **(known or {})}, config)}


def describe_weights(
    weights: Mapping[str, Tensor], known: Mapping[str, Any] | None = None, config: OFAConfig | None = None
) -> dict[str, Any]:
    """What weights are, as `ofakit.models.description.described` says.

    Args:
        weights: Under stock names.
        known: Keys of their configuration that they do not tell, such as `adapter` and `backbone`.
        config: The whole configuration, where a directory has it.

    Raises:
        UsageError: They are not those of an OFA.
    """
    found = config or config_from_weights(weights, **(known or {}))
    return described(OFAModel, found.replace(resnet_model_path=None), weights)
