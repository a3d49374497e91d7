"""OFA, the multimodal sequence-to-sequence model, in PyTorch; names are imported when they are first used.

Source: Wang et al. 2022, "OFA: Unifying Architectures, Tasks, and Modalities Through a Simple Sequence-to-Sequence
Learning Framework", https://arxiv.org/abs/2202.03052; the numbers are those of ModelScope 1.40.2's implementation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ofakit.lazy import exports

if TYPE_CHECKING:
    from ofakit.models.generation import Hypothesis, generate, score_sequences
    from ofakit.models.ofa.checkpoints import load_checkpoint, load_state_dict_file
    from ofakit.models.ofa.configuration import OFAConfig
    from ofakit.models.ofa.decoder import DecoderState
    from ofakit.models.ofa.encoder import EncoderOutput
    from ofakit.models.ofa.model import OFAModel, OFAOutput, freeze, prepare_for_inference
    from ofakit.models.precision import autocast

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

__getattr__ = exports(
    __name__,
    {
        "ofakit.models.generation": ["Hypothesis", "generate", "score_sequences"],
        "ofakit.models.ofa.checkpoints": ["load_checkpoint", "load_state_dict_file"],
        "ofakit.models.ofa.configuration": ["OFAConfig"],
        "ofakit.models.ofa.decoder": ["DecoderState"],
        "ofakit.models.ofa.encoder": ["EncoderOutput"],
        "ofakit.models.ofa.model": ["OFAModel", "OFAOutput", "freeze", "prepare_for_inference"],
        "ofakit.models.precision": ["autocast"],
    },
)


def __dir__() -> list[str]:
    return sorted(__all__)
