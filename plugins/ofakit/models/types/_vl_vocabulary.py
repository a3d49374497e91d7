"""The vocabulary of VL-T5 and VL-BART: that of T5 or BART, and behind it the names of spans and regions.

These are `<extra_id_99>` to `<extra_id_0>`, which T5 has already, and `<vis_extra_id_99>` to `<vis_extra_id_0>`: 32,200
tokens in all for T5, 50,465 for BART. The row of a region's name says the region's place in its image.
Source: j-min/VL-T5 a07d779, `VL-T5/src/tokenization.py` and `pretrain.py`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from ofakit.models.vl.model import VLModel
from ofakit.text.base_tokenizer import BaseTokenizer
from ofakit.text.grounding import region_name
from ofakit.text.span_corruption import SENTINEL
from ofakit.text.tokenizer_directory import load_tokenizer

__all__ = ["name_regions", "read_vocabulary", "sentinel_tokens", "with_sentinels"]

SENTINELS = 100
"""Of each kind, as in T5 and VL-T5."""

Vocabulary = TypeVar("Vocabulary", bound=BaseTokenizer)


def sentinel_tokens() -> list[str]:
    """The tokens behind the vocabulary, in the order of their rows: the last one is that of the first region."""
    numbers = range(SENTINELS - 1, -1, -1)
    return [*(SENTINEL.format(number) for number in numbers), *(region_name(number) for number in numbers)]


def with_sentinels(tokenizer: Vocabulary) -> Vocabulary:
    """A tokenizer that has the names of spans and regions.

    Args:
        tokenizer: Gets those that it lacks; changed in place.
    """
    tokenizer.add_tokens(token for token in sentinel_tokens() if tokenizer.token_to_id(token) is None)
    return tokenizer


def read_vocabulary(folder: str | Path) -> BaseTokenizer:
    """The tokenizer of a directory of ours, or of T5's or BART's, with the names of spans and regions.

    Args:
        folder: With `vocab.json` and `merges.txt`, or `tokenizer.json` or `spiece.model` of T5.

    Raises:
        UsageError: It holds none, or a file cannot be read.
    """
    return with_sentinels(load_tokenizer(folder))


def name_regions(model: VLModel, tokenizer: BaseTokenizer) -> None:
    """Give a language model that never saw an image rows for what its vocabulary lacked.

    Args:
        model: Changed in place: the order embedding of a region is the row of its name.
        tokenizer: Has the names.
    """
    model.resize_token_embeddings(max(len(tokenizer), len(model.shared.weight)))
    model.regions_end_at((tokenizer.token_to_id(region_name(0)) or 0) + 1)
