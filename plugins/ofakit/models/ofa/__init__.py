"""OFA, the multimodal sequence-to-sequence model, in PyTorch; names are imported when they are first used.

Source: Wang et al. 2022, "OFA: Unifying Architectures, Tasks, and Modalities Through a Simple Sequence-to-Sequence
Learning Framework", https://arxiv.org/abs/2202.03052; the numbers are those of ModelScope 1.40.2's implementation.
"""

from __future__ import annotations

import importlib
from typing import Any

_HOMES = {
    "OFAConfig": "configuration",
    "OFAModel": "model",
    "OFAOutput": "model",
    "EncoderOutput": "encoder",
    "DecoderState": "decoder",
    "Hypothesis": "generation",
    "generate": "generation",
    "freeze": "freezing",
    "autocast": "precision",
    "load_checkpoint": "checkpoints",
    "load_state_dict_file": "checkpoints",
    "prepare_for_inference": "inference",
    "score_sequences": "generation",
}

__all__ = [
    "DecoderState",
    "EncoderOutput",
    "Hypothesis",
    "OFAConfig",
    "OFAModel",
    "OFAOutput",
    "autocast",
    "freeze",
    "generate",
    "load_checkpoint",
    "load_state_dict_file",
    "prepare_for_inference",
    "score_sequences",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
