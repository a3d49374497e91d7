"""ViQuAE's joint loss: a question's image against the images and the texts of passages at the same time.

    {"type": "joint_contrastive", "query": ["image"], "passage": ["image"], "cross": ["text"]}

With Q the vectors of questions, P and C the monomodal and cross-modal vectors of passages, all of length 1, and learnt
t and w,

    logits = exp(t) (w_1 Q P^T + w_2 Q C^T)

and the loss is the cross entropy of each question's passage. Passages with the same text form one column, which several
questions can then share; its vector is the mean of theirs. `logit_scale` (t) and `joint_weights` (w) are parameters of
the model. Their learning rate is `train.optimizer.scale_lr`, as `train.optimizer.lr` is usually too small for them.

Source: Lerner et al. 2024, "Cross-modal Retrieval for Knowledge-based Visual Question Answering",
https://arxiv.org/abs/2401.05736; PaulLerner/ViQuAE `meerqat/train/trainee.py`, `JointMonoAndCrossModal`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from ofakit.objectives._contrast import Contrast, mean_over_questions
from ofakit.objectives._relevance import Relations
from ofakit.objectives._retrieval import (
    RetrievalObjective,
    checked_modalities,
    learnt_scale,
    limit_scale,
    parameter_rows,
)
from ofakit.objectives.base import Logs

__all__ = ["JointContrastive"]


class JointContrastive(RetrievalObjective):
    """Cross entropy over the weighted sum of two similarities.

    Args:
        query: The modalities of a question's vector.
        passage: The modalities of the first vector of a passage, usually the same.
        cross: The modalities of its second vector.
        groups: Names of the groups of examples that it learns from; None: all.

    Raises:
        UsageError: A modality is unknown.
    """

    parameters = ("logit_scale", "joint_weights")

    def __init__(
        self,
        query: Sequence[str] = ("image",),
        passage: Sequence[str] = ("image",),
        cross: Sequence[str] = ("text",),
        groups: Sequence[str] | None = None,
    ) -> None:
        super().__init__("joint_contrastive", query, passage, groups)
        self.cross = checked_modalities(cross, "cross")
        self.contrast = Contrast("dot")

    def further(self, model: Any, batch: Mapping[str, Any]) -> dict[str, Tensor]:
        """The second vectors of passages, and the learnt parameters.

        Args:
            model: A model with `embed`, `logit_scale` () and `joint_weights` (2,).
            batch: A batch of retrieval.

        Raises:
            UsageError: The model has no such parameters.
        """
        return {
            "cross": model.embed("passage", batch["passage"], self.cross),
            **{name: parameter_rows(model, name, self.kind) for name in self.parameters},
        }

    def complete(self, model: Any, batch: Mapping[str, Any], step: int) -> Mapping[str, Any]:
        """Keep the scale at its limit.

        Args:
            model: Its parameter is changed.
            batch: Not used.
            step: Not used.
        """
        limit_scale(model)
        return {}

    def loss_of(self, joined: Mapping[str, Tensor], related: Relations) -> tuple[Tensor, Logs]:
        """The loss of a joined batch.

        Args:
            joined: `queries`, `passages`, `cross`, `logit_scale` (batches,) and `joint_weights` (batches, 2).
            related: How its passages relate to its questions.

        Returns:
            The loss, and the logs `columns` (passages with different texts), `temperature`, `monomodal_weight` and
            `cross_modal_weight`.
        """
        numbers, columns = joined["passage_index"].unique(return_inverse=True)
        merged = Relations(*(_any_of_column(relation, columns, len(numbers)) for relation in related))
        weights, scale = joined["joint_weights"].mean(0), learnt_scale(joined["logit_scale"])
        monomodal, cross = (F.normalize(joined[name], dim=-1) for name in ("passages", "cross"))
        # w_1 Q P^T + w_2 Q C^T, as one inner product
        passages = _mean_of_column(weights[0] * monomodal + weights[1] * cross, columns, len(numbers))
        losses = self.contrast(F.normalize(joined["queries"], dim=-1), passages, merged, scale)
        logs = {
            "columns": len(numbers),
            "temperature": 1 / scale.detach(),
            "monomodal_weight": weights[0].detach(),
            "cross_modal_weight": weights[1].detach(),
        }
        return mean_over_questions(losses, merged), logs


def _any_of_column(relation: Tensor, columns: Tensor, count: int) -> Tensor:
    """A (B, N) relation over merged columns, (B, count): whether it holds for any passage of the column."""
    merged = torch.zeros(len(relation), count, dtype=torch.int64, device=relation.device)
    return merged.index_add_(1, columns, relation.to(torch.int64)) > 0


def _mean_of_column(vectors: Tensor, columns: Tensor, count: int) -> Tensor:
    """The mean of the rows of each column, (count, d); a product, as a GPU sums by index in no fixed order."""
    member = F.one_hot(columns, count).t().to(vectors.dtype)
    return member @ vectors / member.sum(1, keepdim=True)
