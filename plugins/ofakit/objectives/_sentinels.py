"""Tokens that stand for spans and regions, which a vocabulary may lack."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

__all__ = ["sentinel_ids"]


def sentinel_ids(bundle: Any, tokens: Sequence[str]) -> list[int]:
    """The ids of tokens; tokens that the vocabulary lacks are added, with new rows in the model.

    Args:
        bundle: The model with its tokenizer; changed in place.
        tokens: Such as `<extra_id_0>`.
    """
    tokenizer, model = bundle.tokenizer, bundle.model
    tokenizer.add_tokens(token for token in tokens if tokenizer.token_to_id(token) is None)
    if len(tokenizer) > len(model.output_embedding):
        model.resize_token_embeddings(len(tokenizer))
    return [tokenizer.token_to_id(token) for token in tokens]
