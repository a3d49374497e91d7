"""-log p of each pair of a question and a passage that answers it, against everything that does not answer it.

With s the similarities times a scale, the pair (q, p) has for each direction a sum Z over what competes in it,

    query_to_passage    exp s(q, p) + sum exp s(q, d)     over the passages d that do not answer q
    passage_to_query    exp s(q, p) + sum exp s(r, p)     over the questions r that p does not answer
    query_to_query                    sum exp s(q, r)     over the same questions r
    passage_to_passage                sum exp s(p, d)     over those d that were not sampled for q either

and the loss log(sum of the Zs) - s(q, p) where the partition is joint, mean(log Z) - s(q, p) where it is per direction.
Another passage that answers q never competes: it would be a false negative, and the positives of a question would
compete with each other.

Sources: van den Oord et al. 2018, https://arxiv.org/abs/1807.03748 (InfoNCE); Li et al. 2023,
https://arxiv.org/abs/2308.03281, section 3.3 (the four directions in one partition); Lan et al. 2025, as in
sentence-transformers 6.1, `MultipleNegativesRankingLoss` (hardness: alpha * cos, without gradient, is added to the
logits of negatives).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from ofakit.errors import UsageError, did_you_mean
from ofakit.objectives._relevance import Relations

__all__ = ["DIRECTIONS", "HARDNESS_OF", "Contrast", "comparable", "mean_over_questions"]

DIRECTIONS = ("query_to_passage", "passage_to_query", "query_to_query", "passage_to_passage")
HARDNESS_OF = ("hard_negatives", "in_batch_negatives", "all_negatives")


@dataclass(frozen=True)
class Contrast:
    """How questions and passages are contrasted.

    Attributes:
        similarity: "dot", the inner product, or "cosine", that of rows of length 1.
        directions: Of `DIRECTIONS`, at least one.
        partition: One sum over all directions, or the mean of one logarithm per direction.
        hardness: Factor on the similarity that is added to the logits of negatives, at least 0.
        hardness_of: Which negatives: those sampled for the question, those of other questions, or all.

    Raises:
        UsageError: A direction is unknown or a number is out of range.
    """

    similarity: Literal["dot", "cosine"] = "cosine"
    directions: Sequence[str] = DIRECTIONS[:1]
    partition: Literal["joint", "per_direction"] = "joint"
    hardness: float = 0.0
    hardness_of: str = HARDNESS_OF[0]

    def __post_init__(self) -> None:
        for key, given, known in (
            ("directions", self.directions, DIRECTIONS),
            ("partition", [self.partition], ("joint", "per_direction")),
            ("hardness_of", [self.hardness_of], HARDNESS_OF),
        ):
            for name in given:
                if name not in known:
                    raise UsageError(f"unknown {key} {name!r}: {did_you_mean(str(name), known)}", key)
        if not self.directions or len(set(self.directions)) < len(self.directions):
            raise UsageError(f"expected directions without repetition, found {list(self.directions)}", "directions")
        if not self.hardness >= 0:
            raise UsageError(f"expected a hardness of at least 0, found {self.hardness}", "hardness")

    def __call__(self, queries: Tensor, passages: Tensor, related: Relations, scale: Tensor | float) -> Tensor:
        """The loss of every pair.

        Args:
            queries: (B, d).
            passages: (N, d).
            related: Which passage answers which question; the positives are the pairs.
            scale: Factor on the similarities, a scalar.

        Returns:
            (pairs,), in the order of `related.positive.nonzero()`.
        """
        queries, passages = comparable(queries, passages, self.similarity)
        similar = queries @ passages.t()
        own_pair = similar[related.positive] * scale
        parts = [self._competing(d, queries, passages, similar, related, scale) for d in self.directions]
        if self.partition == "joint":
            parts = [torch.cat(parts, 1)]
        return torch.stack([_log_sum(part, own_pair) for part in parts]).mean(0) - own_pair

    def _competing(
        self,
        direction: str,
        queries: Tensor,
        passages: Tensor,
        similar: Tensor,
        related: Relations,
        scale: Tensor | float,
    ) -> Tensor:
        """The logits that a direction sums, (pairs, B or N), with the lowest number where nothing competes."""
        rows, columns = related.positive.nonzero(as_tuple=True)
        itself = None
        if direction == "query_to_passage":
            logits, hidden, itself = self._hardened(similar, related, scale)[rows], related.relevant[rows], columns
        elif direction == "passage_to_query":
            logits, hidden, itself = similar.t()[columns] * scale, related.relevant.t()[columns], rows
        elif direction == "query_to_query":
            logits, hidden = (queries @ queries.t())[rows] * scale, related.relevant.t()[columns]
        else:
            logits, hidden = (passages @ passages.t())[columns] * scale, (related.own | related.relevant)[rows]
        if itself is not None:
            hidden[torch.arange(len(rows), device=rows.device), itself] = False
        return logits.masked_fill(hidden, torch.finfo(logits.dtype).min)

    def _hardened(self, similar: Tensor, related: Relations, scale: Tensor | float) -> Tensor:
        """The logits of (B, N) similarities, raised for negatives."""
        if self.hardness == 0:
            return similar * scale
        chosen = {
            "hard_negatives": related.own & ~related.positive,
            "in_batch_negatives": ~related.own,
            "all_negatives": ~related.positive,
        }[self.hardness_of]
        return similar * scale + self.hardness * similar.detach() * chosen


def _log_sum(logits: Tensor, own_pair: Tensor) -> Tensor:
    """log Z of each pair; if nothing competes, the value that makes its loss 0."""
    lowest = torch.finfo(logits.dtype).min
    found = logits.logsumexp(1) if logits.shape[1] else torch.full_like(own_pair, lowest)
    return torch.where((logits > lowest).any(1), found, own_pair)


def mean_over_questions(losses: Tensor, related: Relations) -> Tensor:
    """The mean over the questions with a positive of the mean over the pairs of each; 0 if no question has one.

    Args:
        losses: (pairs,), in the order of `related.positive.nonzero()`.
        related: Which passage answers which question.
    """
    counts = related.positive.sum(1)
    rows = related.positive.nonzero(as_tuple=True)[0]
    return (losses / counts[rows]).sum() / related.answered.sum().clamp(min=1)


def comparable(queries: Tensor, passages: Tensor, similarity: str) -> tuple[Tensor, Tensor]:
    """Rows whose inner products are the similarities.

    Args:
        queries: (B, d).
        passages: (N, d).
        similarity: "dot" or "cosine".
    """
    if similarity == "cosine":
        return F.normalize(queries, dim=-1), F.normalize(passages, dim=-1)
    return queries, passages
