"""What a checkpoint is, without loading it into a model.

describe("ofa_base.pt")["parameters"]
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ofakit.models.description import described
from ofakit.models.ofa.checkpoints import config_of
from ofakit.models.ofa.fairseq import from_fairseq_names, inert_classes
from ofakit.models.ofa.model import OFAModel
from ofakit.models.weights import read_content, tensors_of

__all__ = ["describe"]


def describe(path: str | Path) -> dict[str, Any]:
    """What a checkpoint is: its `format`, and what `ofakit.models.description.described` says.

    Args:
        path: As in `load_state_dict_file`.

    Raises:
        UsageError: As `load_state_dict_file` and `config_of`.
    """
    path = Path(path)
    content = read_content(path, inert_classes)
    weights = from_fairseq_names(tensors_of(content, path))
    config = config_of(path)
    kind = "directory" if path.is_dir() else "fairseq" if "model" in content else "state dict"
    return {"format": kind, **described(OFAModel, config.replace(resnet_model_path=None), weights)}
