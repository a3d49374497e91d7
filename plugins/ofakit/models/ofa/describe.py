"""What a checkpoint is, without loading it into a model.

describe("ofa_base.pt")["parameters"]
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from ofakit.models.ofa.checkpoints import config_of
from ofakit.models.ofa.fairseq import from_fairseq_names, inert_classes
from ofakit.models.ofa.model import OFAModel
from ofakit.models.weights import read_content, tensors_of

__all__ = ["describe"]


def describe(path: str | Path) -> dict[str, Any]:
    """What a checkpoint is: `format`, number of `parameters` and `tensors`, `dtypes` and `config`.

    Args:
        path: As in `load_state_dict_file`.

    Raises:
        UsageError: As `load_state_dict_file` and `config_of`.
    """
    path = Path(path)
    content = read_content(path, inert_classes)
    weights = from_fairseq_names(tensors_of(content, path))
    config = config_of(path)
    with torch.device("meta"):
        model = OFAModel(config.replace(resnet_model_path=None))
    return {
        "format": "directory" if path.is_dir() else "fairseq" if "model" in content else "state dict",
        "parameters": sum(p.numel() for p in model.parameters()),
        "tensors": len(weights),
        "dtypes": sorted({str(v.dtype).removeprefix("torch.") for v in weights.values()}),
        "config": config.to_dict(),
    }
