"""Sequences from any encoder-decoder: beam search and sampling. Names are imported when they are first used.

from ofakit.models.generation import generate
best = [hypotheses[0].tokens for hypotheses in generate(model, batch, num_beams=5, max_length=16)]
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ofakit.lazy import exports

if TYPE_CHECKING:
    from ofakit.models.generation.generate import generate, score_sequences
    from ofakit.models.generation.hypotheses import Hypothesis
    from ofakit.models.generation.ranking import rank_sequences

__all__ = ["Hypothesis", "generate", "rank_sequences", "score_sequences"]

__getattr__ = exports(
    __name__,
    {
        "ofakit.models.generation.generate": ["generate", "score_sequences"],
        "ofakit.models.generation.hypotheses": ["Hypothesis"],
        "ofakit.models.generation.ranking": ["rank_sequences"],
    },
)
