"""What a directory of VL-T5 or VL-BART holds, without loading it into a model.

describe("work_dir/vlbart/best")["parts"]["language_model"]
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ofakit.models.description import described
from ofakit.models.vl.configuration import VLConfig
from ofakit.models.vl.model import VLModel
from ofakit.models.weights import read_content, tensors_of

__all__ = ["describe"]


def describe(path: str | Path) -> dict[str, Any]:
    """What a model directory is, as `ofakit.models.description.described` says, with its `format` and `backbone`.

    Args:
        path: A directory with `config.json` and the weights: ours, or one of Hugging Face's T5 or BART.

    Returns:
        `backbone` is the network of timm through which the model sees, or None where it reads regions.

    Raises:
        UsageError: A file is missing or cannot be read.
    """
    config, weights = VLConfig.from_pretrained(path), tensors_of(read_content(path), path)
    return {"format": "directory", **described(VLModel, config, weights), "backbone": config.timm_backbone}
