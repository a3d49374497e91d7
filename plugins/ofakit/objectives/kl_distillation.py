"""KL divergence from a teacher's ranking: the student's softmax over a question's passages approaches the teacher's.

    {"type": "kl_distillation", "temperature": 1.0, "min_max": false, "query": ["text"], "passage": ["text"]}

With s the student's scores of the passages that were sampled for a question, t the teacher's (`data.teacher_scores`)
and T the temperature,

    L = T^2 mean over questions KL(softmax(t / T) | softmax(s / T))

T^2 keeps the size of the gradient as T grows. `min_max` first stretches the teacher's scores of each list to [0, 1],
for teachers whose scores vary in size from question to question.

Sources: stanford-futuredata/ColBERT `training.py`; sentence-transformers 6.1 `DistillKLDivLoss` (T^2); lightonai/pylate
`losses/distillation.py` (`normalize_scores`).
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

__all__ = ["KLDistillation", "kl_loss"]


class KLDistillation(RetrievalObjective):
    """Divergence of the student's distribution over each question's own passages from the teacher's.

    Args:
        temperature: Divides the scores of both, above 0.
        min_max: First stretch the teacher's scores of each list to [0, 1].
        query: The modalities of a question's vector: `text`, `image`, or both.
        passage: Likewise for a passage.
        similarity: Inner product or cosine; cosines are too close to each other for most teachers at temperature 1.
        groups: Names of the groups of examples that it learns from; None: all.

    Raises:
        UsageError: The temperature is out of range, or a modality is unknown.
    """

    def __init__(
        self,
        temperature: float = 1.0,
        min_max: bool = False,
        query: Sequence[str] = ("text",),
        passage: Sequence[str] = ("text",),
        similarity: Literal["dot", "cosine"] = "dot",
        groups: Sequence[str] | None = None,
    ) -> None:
        super().__init__("kl_distillation", query, passage, groups)
        refuse_temperature(temperature)
        self.temperature, self.min_max, self.similarity = temperature, min_max, similarity

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
            The loss, and the log `lists`: how many questions have at least two passages to compare.
        """
        queries, passages = comparable(joined["queries"], joined["passages"], self.similarity)
        teacher = joined["teacher"].detach()
        listed = related.own & teacher.isfinite()
        taught = teacher.masked_fill(~teacher.isfinite(), 0.0).expand(listed.shape)
        loss = kl_loss(queries @ passages.t(), taught, self.temperature, listed, self.min_max)
        return loss, {"lists": (listed.sum(1) > 1).sum()}


def kl_loss(
    scores: Tensor, teacher: Tensor, temperature: float = 1.0, listed: Tensor | None = None, min_max: bool = False
) -> Tensor:
    """T^2 KL(softmax(teacher / T) | softmax(scores / T)), the mean over lists.

    Args:
        scores: (B, N), the student's scores of each list.
        teacher: (B, N), the teacher's, finite.
        temperature: T, above 0.
        listed: (B, N) bool, what is in each list; None: everything. A list with fewer than two entries does not count.
        min_max: First stretch the teacher's scores of each list to [0, 1].

    Returns:
        A scalar; 0 if no list has two entries.

    Raises:
        UsageError: The shapes differ, or the temperature is out of range.

    >>> round(kl_loss(torch.tensor([[0.0, 0.0]]), torch.tensor([[2.0, 0.0]])).item(), 4)
    0.3278
    """
    refuse_temperature(temperature)
    listed = torch.ones_like(scores, dtype=torch.bool) if listed is None else listed
    if not scores.shape == teacher.shape == listed.shape:
        shapes = [list(rows.shape) for rows in (scores, teacher, listed)]
        raise UsageError(f"expected student scores, teacher scores and the mask in the same shape, found {shapes}")
    taught = (_stretched(teacher, listed) if min_max else teacher) / temperature
    lowest = torch.finfo(scores.dtype).min
    log_q = taught.to(scores.dtype).masked_fill(~listed, lowest).log_softmax(1)
    log_p = (scores / temperature).masked_fill(~listed, lowest).log_softmax(1)
    divergence = (log_q.exp() * (log_q - log_p)).masked_fill(~listed, 0.0).sum(1)
    counts = listed.sum(1) > 1
    return temperature**2 * divergence.masked_fill(~counts, 0.0).sum() / counts.sum().clamp(min=1)


def _stretched(scores: Tensor, listed: Tensor) -> Tensor:
    """Each list stretched to [0, 1]; all 0 if its scores are equal."""
    low = scores.masked_fill(~listed, torch.inf).amin(1, keepdim=True)
    width = scores.masked_fill(~listed, -torch.inf).amax(1, keepdim=True) - low
    flat = ~(width > 0)
    return ((scores - low) / width.masked_fill(flat, 1.0)).masked_fill(flat | ~listed, 0.0)


def refuse_temperature(temperature: float) -> None:
    """Refuse a temperature that is not above 0.

    Args:
        temperature: Should be above 0.

    Raises:
        UsageError: It is not.
    """
    if not temperature > 0:
        raise UsageError(f"kl_distillation: expected a temperature above 0, found {temperature}", "temperature")
