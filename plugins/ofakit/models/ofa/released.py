"""What a released fairseq file contains besides its weights: image and search settings, and averaged weights.

Source: github.com/OFA-Sys/OFA, `tasks/ofa_task.py` and `tasks/mm_tasks/caption.py`; fairseq `models/ema`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from ofakit.json_text import from_json
from ofakit.models.ofa.fairseq import from_fairseq_names, inert_classes, plain_settings
from ofakit.models.weights import read_content

__all__ = ["SPECIAL_IDS", "Released", "read_released"]

SPECIAL_IDS = {"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3}
"""Where every fairseq dictionary has them."""
SIZES = {"patch_image_size": "patch_image_size", "max_src_length": "max_src_length", "max_tgt_length": "max_tgt_length"}
SEARCH = {
    "beam": "num_beams", "max_len_b": "max_length", "min_len": "min_length", "lenpen": "length_penalty",
    "no_repeat_ngram_size": "no_repeat_ngram_size", "temperature": "temperature",
}  # fmt: skip


@dataclass(frozen=True)
class Released:
    """What a fairseq file says.

    Attributes:
        preprocessor: Our preprocessing keys.
        generation: Our generation keys.
        ema: Weights averaged over training, under stock names; empty where the file has none.
    """

    preprocessor: dict[str, Any] = field(default_factory=dict)
    generation: dict[str, Any] = field(default_factory=dict)
    ema: dict[str, Tensor] = field(default_factory=dict)


def read_released(path: str | Path) -> Released | None:
    """Read the settings of a fairseq file.

    Args:
        path: A file of weights.

    Returns:
        None if it is not fairseq's.

    Raises:
        UsageError: It is not a checkpoint, or its pickle holds more than weights and settings.
    """
    content = read_content(path, inert_classes)
    if "model" not in content or not ("cfg" in content or "args" in content):
        return None
    settings = plain_settings(content.get("cfg")) or {}
    task = {**(plain_settings(content.get("args")) or {}), **(settings.get("task") or {})}
    preprocessor = {ours: task[theirs] for theirs, ours in SIZES.items() if task.get(theirs) is not None}
    if task.get("imagenet_default_mean_and_std") is not None:
        preprocessor["mean_std"] = "imagenet" if task["imagenet_default_mean_and_std"] else "half"
    return Released(preprocessor, _generation(task.get("eval_args")), _ema(content.get("extra_state")))


def _generation(arguments: Any) -> dict[str, Any]:
    """Our generation keys from what evaluation was told in JSON."""
    try:
        found = from_json(arguments) if isinstance(arguments, str) else {}
    except ValueError:
        return {}
    return (
        {ours: found[theirs] for theirs, ours in SEARCH.items() if theirs in found} if isinstance(found, dict) else {}
    )


def _ema(state: Any) -> dict[str, Tensor]:
    for name in ("ema_fp32_params", "ema"):
        weights = state.get(name) if isinstance(state, Mapping) else None
        if isinstance(weights, Mapping) and weights and all(isinstance(value, Tensor) for value in weights.values()):
            return from_fairseq_names(weights)
    return {}
