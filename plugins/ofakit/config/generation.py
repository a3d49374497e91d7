"""How sequences are searched for or drawn: the one declaration of generation settings, their ranges and defaults.

    {"generation": {"num_beams": 5, "max_length": 16, "no_repeat_ngram_size": 3}}

A configuration's section `generation` has these keys, and so have the arguments of `ofakit.models.generation.generate`.
"""

from __future__ import annotations

from pydantic import Field

from ofakit.config.section import Section

__all__ = ["GenerationSettings"]


class GenerationSettings(Section):
    """Beam search or sampling; names and meaning of OFA's generator."""

    num_beams: int = Field(5, ge=1, le=1000, description="beam width; 1: greedy search. Not used when sampling")
    max_length: int = Field(16, ge=1, le=10_000, description="tokens before eos")
    min_length: int = Field(1, ge=0, le=10_000, description="tokens before eos")
    no_repeat_ngram_size: int = Field(
        3, ge=0, le=10_000, description="no n-gram of this size occurs twice; 0: no limit"
    )
    length_penalty: float = Field(1.0, ge=-10, le=10, description="exponent of the length; larger: longer captions")
    early_stopping: bool = Field(
        False, description="T5 and BART: done once num_beams sequences are finished, as OFA always is"
    )
    do_sample: bool = Field(False, description="sample instead of searching")
    top_k: int = Field(
        0, ge=0, le=10_000_000, description="sampling: draw from the k most likely tokens; 0: all tokens"
    )
    top_p: float = Field(
        1.0,
        gt=0,
        le=1,
        description="sampling: draw from the smallest set of most likely tokens with this total probability",
    )
    temperature: float = Field(1.0, gt=0, description="divides the logits, in beam search too")
