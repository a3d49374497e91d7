"""Margin-MSE: the student's scores of a positive and a negative learn to be as far apart as the teacher's.

    {"type": "margin_mse", "weight": 1.0, "query": ["text"], "passage": ["text"]}

With s the student's scores and t the teacher's (`data.teacher_scores`), over all triples of a question q, a positive p
and a negative n that were sampled for it,

    L = mean (((s(q, p) - s(q, n)) - (t(q, p) - t(q, n)))^2)

Source: Hofstätter et al. 2020, https://arxiv.org/abs/2010.02666, section 3; sebastian-hofstaetter/neural-ranking-kd,
`margin_mse_loss.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from ofakit.errors import UsageError
from ofakit.objectives._contrast import comparable
from ofakit.objectives._relevance import Relations
from ofakit.objectives._retrieval import RetrievalObjective, teacher_rows
from ofakit.objectives.base import Logs

__all__ = ["MarginMSE", "margin_mse_loss"]


class MarginMSE(RetrievalObjective):
    """The mean squared difference between the margins of student and teacher.

    Args:
        query: The modalities of a question's vector: `text`, `image`, or both.
        passage: Likewise for a passage.
        similarity: Inner product, whose margins are not bounded, or cosine.
        groups: Names of the groups of examples that it learns from; None: all.

    Raises:
        UsageError: A modality is unknown.
    """

    def __init__(
        self,
        query: Sequence[str] = ("text",),
        passage: Sequence[str] = ("text",),
        similarity: Literal["dot", "cosine"] = "dot",
        groups: Sequence[str] | None = None,
    ) -> None:
        super().__init__("margin_mse", query, passage, groups)
        self.similarity = similarity

    def further(self, model: Any, batch: Mapping[str, Any]) -> dict[str, Tensor]:
        """The teacher's scores.

        Args:
            model: Not used.
            batch: A batch with `teacher` (N,).

        Raises:
            UsageError: It has no such scores.
        """
        return {"teacher": teacher_rows(batch, self.kind)}

    def loss_of(self, joined: Mapping[str, Tensor], related: Relations) -> tuple[Tensor, Logs]:
        """The loss of a joined batch.

        Args:
            joined: `queries`, `passages` and `teacher`; a passage without a teacher's score (NaN) is left out.
            related: Which passages were sampled for which question.

        Returns:
            The loss, 0 if there is no triple, and the log `triples`: how many there are.
        """
        queries, passages = comparable(joined["queries"], joined["passages"], self.similarity)
        teacher = joined["teacher"].detach().to(queries.dtype)
        scored = teacher.isfinite()
        rows, columns = (related.positive & scored).nonzero(as_tuple=True)
        triples = (related.own & ~related.positive & scored)[rows]
        scores = queries @ passages.t()
        margins = scores[rows, columns][:, None] - scores[rows]
        wanted = teacher[columns][:, None] - teacher.masked_fill(~scored, 0.0)
        apart = (margins - wanted).masked_fill(~triples, 0.0)
        return apart.square().sum() / triples.sum().clamp(min=1), {"triples": triples.sum()}


def margin_mse_loss(queries: Tensor, positives: Tensor, negatives: Tensor, margins: Tensor) -> Tensor:
    """The mean squared difference of (q . p - q . n) from a teacher's margin.

    Args:
        queries: (B, d).
        positives: (B, d).
        negatives: (B, K, d).
        margins: (B, K), the teacher's score of the positive minus that of each negative.

    Returns:
        A scalar; 0 for empty input.

    Raises:
        UsageError: The shapes do not match.

    >>> q = torch.tensor([[1.0, 0.0]])
    >>> margin_mse_loss(q, 2 * q, 0.5 * q[None], torch.tensor([[1.0]])).item()
    0.25
    """
    if (
        positives.shape != queries.shape
        or negatives.shape[::2] != queries.shape
        or margins.shape != negatives.shape[:2]
    ):
        shapes = [list(rows.shape) for rows in (queries, positives, negatives, margins)]
        raise UsageError(
            f"expected questions and positives (B, d), negatives (B, K, d) and margins (B, K), found {shapes}"
        )
    found = (queries * positives).sum(1, keepdim=True) - torch.einsum("bd,bkd->bk", queries, negatives)
    return (found - margins).square().sum() / max(margins.numel(), 1)
