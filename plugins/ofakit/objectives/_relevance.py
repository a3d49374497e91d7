"""Which passages of a joined batch answer which of its questions.

Passages are numbered so that equal texts share a number. A pair of a question q and a passage p becomes the single
number q * 2^32 + p, so that looking up whether pairs are known is one search in a sorted array.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ofakit.errors import UsageError

__all__ = ["Relations", "known_pairs", "pair_keys", "relations"]


class Relations(NamedTuple):
    """How each passage relates to each question, (B, N) bool each.

    Attributes:
        own: It was sampled for the question, as a positive or a negative.
        positive: It was sampled for the question and answers it.
        relevant: It answers the question, whichever question it was sampled for; positives are included.
    """

    own: Tensor
    positive: Tensor
    relevant: Tensor

    @property
    def answered(self) -> Tensor:
        """The questions with a positive, (B,) bool."""
        return self.positive.any(1)


def pair_keys(questions: Tensor, passages: Tensor) -> Tensor:
    """One number for each pair.

    Args:
        questions: int64, from 0 to 2^31 - 1.
        passages: int64, from 0 to 2^32 - 1; its shape must broadcast with that of `questions`.

    >>> pair_keys(torch.tensor([0, 1]), torch.tensor([5, 5])).tolist()
    [5, 4294967301]
    """
    return (questions << 32) + passages


def known_pairs(examples: Sequence[Any], objective: str) -> Tensor:
    """All pairs of a training question and a passage that answers it, sorted.

    Args:
        examples: Each has `query_index` and `relevant_indices`, the numbers of all passages that answer it.
        objective: The type of the objective, for the message.

    Returns:
        (pairs,) int64, as returned by `pair_keys`.

    Raises:
        UsageError: The examples are not those of a retrieval task.
    """
    if examples and not hasattr(examples[0], "relevant_indices"):
        raise UsageError(
            f"{objective}: expected training examples that are questions with passages, found "
            f"{type(examples[0]).__name__}; "
            "set task to multimodal-retrieval"
        )
    questions = np.repeat([e.query_index for e in examples], [len(e.relevant_indices) for e in examples])
    passages = np.fromiter((number for e in examples for number in e.relevant_indices), np.int64)
    keys = pair_keys(torch.from_numpy(questions.astype(np.int64)), torch.from_numpy(passages))
    return torch.unique(keys)


def relations(joined: Mapping[str, Tensor], known: Tensor) -> Relations:
    """How the passages of a joined batch relate to its questions.

    A passage is relevant if it is known to be, or if it has the number, and so the text, of one of the question's
    positives.

    Args:
        joined: `query_index` (B,), `passage_index`, `owner` and `positive` (N,).
        known: From `known_pairs`, on the same device; may be empty.
    """
    questions, passages = joined["query_index"], joined["passage_index"]
    own = joined["owner"] == questions[:, None]
    positive = own & joined["positive"]
    pairs = pair_keys(questions[:, None], passages)
    sampled = pair_keys(joined["owner"], passages)[joined["positive"]].sort().values
    return Relations(own, positive, _contains(known, pairs) | _contains(sampled, pairs))


def _contains(known: Tensor, keys: Tensor) -> Tensor:
    """Whether each key is in a sorted array."""
    if not len(known):
        return torch.zeros_like(keys, dtype=torch.bool)
    places = torch.searchsorted(known, keys).clamp_(max=len(known) - 1)
    return known[places] == keys
