"""Contrastive losses over the joined batch: DPR, CLIP and InfoNCE.

    {"type": "contrastive", "loss": "dpr", "query": ["text", "image"], "passage": ["text"]}
    {"type": "contrastive", "loss": "clip", "query": ["image"], "passage": ["text"]}
    {"type": "contrastive", "loss": "infonce", "temperature": 0.05, "hardness": 5.0}
    {"type": "contrastive", "name": "image", "groups": ["image"], "query": ["image"], "passage": ["image"]}

Each question learns to find its passage among all passages of the joined batch: those of other questions, and the hard
negatives that come with its own.

| `loss` | similarity | temperature | directions |
|---|---|---|---|
| `dpr` | inner product | 1 | from question to passage |
| `clip` | cosine | learnt, starting from the model's value; 1 / temperature is at most 100 | both, each by itself |
| `infonce` | cosine | 0.05 | from question to passage |

Keys set in addition to `loss` override the table. Passages that are known to answer a question, or have the text of one
that does, are not among its negatives. The loss of several positives is the mean over them; a question without a
positive does not count, and a batch without positives has the loss 0.

Sources: Karpukhin et al. 2020, https://arxiv.org/abs/2004.04906 (DPR); Radford et al. 2021,
https://arxiv.org/abs/2103.00020 (CLIP), with the limit of mlfoundations/open_clip; `_contrast.py` for the rest.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from ofakit.errors import UsageError
from ofakit.objectives._contrast import HARDNESS_OF, Contrast, comparable, mean_over_questions
from ofakit.objectives._relevance import Relations
from ofakit.objectives._retrieval import LARGEST_SCALE, RetrievalObjective, learnt_scale, limit_scale, parameter_rows
from ofakit.objectives.base import Logs

__all__ = ["Contrastive", "clip_loss", "dpr_loss", "info_nce_loss"]

ONE_WAY, BOTH_WAYS = ("query_to_passage",), ("query_to_passage", "passage_to_query")


class _Usual(NamedTuple):
    """The defaults of a loss, for what the configuration does not set."""

    similarity: Literal["dot", "cosine"]
    temperature: float | None
    directions: Sequence[str]
    partition: Literal["joint", "per_direction"]


USUAL = {
    "dpr": _Usual("dot", 1.0, ONE_WAY, "joint"),
    "clip": _Usual("cosine", None, BOTH_WAYS, "per_direction"),
    "infonce": _Usual("cosine", 0.05, ONE_WAY, "joint"),
}


class Contrastive(RetrievalObjective):
    """Cross entropy of the right passage among all passages of the joined batch.

    Args:
        loss: One of the usual losses; the other arguments override its defaults.
        query: The modalities of a question's vector: `text`, `image`, or both.
        passage: Likewise for a passage.
        temperature: Divides similarities, above 0; the initial value if it is learnt. None: the default of the loss, or
            the model's value if it is learnt.
        learn_temperature: Learn the model's parameter `logit_scale`, log(1 / temperature). None: the default of the
            loss.
        directions: `query_to_passage`, `passage_to_query`, `query_to_query`, `passage_to_passage`.
        partition: One softmax over all directions, or the mean of one per direction.
        hardness: The similarity times this factor is added to the logits of negatives; 5 for `hard_negatives` and 9 for
            `in_batch_negatives` are usual.
        hardness_of: Which negatives: `hard_negatives` of the question itself, `in_batch_negatives`, `all_negatives`.
        groups: Names of the groups of examples that it learns from; None: all.

    Raises:
        UsageError: An argument is out of range.
    """

    def __init__(
        self,
        loss: Literal["dpr", "clip", "infonce"] = "dpr",
        query: Sequence[str] = ("text",),
        passage: Sequence[str] = ("text",),
        temperature: float | None = None,
        learn_temperature: bool | None = None,
        directions: Sequence[str] | None = None,
        partition: Literal["joint", "per_direction"] | None = None,
        hardness: float = 0.0,
        hardness_of: str = HARDNESS_OF[0],
        groups: Sequence[str] | None = None,
    ) -> None:
        super().__init__("contrastive", query, passage, groups)
        usual = USUAL[loss]
        if temperature is not None and not 0 < temperature < math.inf:
            raise UsageError(f"contrastive: expected a temperature above 0, found {temperature}", "temperature")
        self.learns = usual.temperature is None if learn_temperature is None else learn_temperature
        self.parameters = ("logit_scale",) if self.learns else ()
        self.start = temperature
        self.scale = 1 / (temperature or usual.temperature or 1.0)
        if not self.learns and temperature is None and usual.temperature is None:
            raise UsageError(f"contrastive: {loss} needs a temperature unless it is learnt", "temperature")
        self.contrast = Contrast(
            usual.similarity, directions or usual.directions, partition or usual.partition, hardness, hardness_of
        )

    def begin(self, bundle: Any, work_dir: Path, resumed: bool) -> None:
        """Set a temperature that is learnt to its initial value.

        Args:
            bundle: A bundle whose model has `logit_scale`.
            work_dir: Not used.
            resumed: Whether the value has already been trained.

        Raises:
            UsageError: The model has no such parameter.
        """
        if self.learns:
            parameter_rows(bundle.model, "logit_scale", self.kind)
            if self.start is not None and not resumed:
                with torch.no_grad():
                    bundle.model.logit_scale.fill_(-math.log(self.start))

    def complete(self, model: Any, batch: Mapping[str, Any], step: int) -> Mapping[str, Any]:
        """Keep a learnt scale at its limit; otherwise it would grow further and take as many steps to return.

        Args:
            model: Its parameter is changed.
            batch: Not used.
            step: Not used.
        """
        if self.learns:
            limit_scale(model)
        return {}

    def further(self, model: Any, batch: Mapping[str, Any]) -> dict[str, Tensor]:
        """The logarithm of the scale, if it is learnt.

        Args:
            model: The model.
            batch: Not used.
        """
        return {"logit_scale": parameter_rows(model, "logit_scale", self.kind)} if self.learns else {}

    def loss_of(self, joined: Mapping[str, Tensor], related: Relations) -> tuple[Tensor, Logs]:
        """The loss of a joined batch.

        Args:
            joined: `queries`, `passages` and, if it is learnt, `logit_scale`.
            related: How its passages relate to its questions.

        Returns:
            The loss, and the logs `accuracy` (how many questions have a positive above all negatives), `answered` (the
            share that has a positive) and, if it is learnt, `temperature`.
        """
        scale = learnt_scale(joined["logit_scale"]) if self.learns else self.scale
        queries, passages = joined["queries"], joined["passages"]
        losses = self.contrast(queries, passages, related, scale)
        answered = related.answered
        right = first_is_positive(*comparable(queries, passages, self.contrast.similarity), related)
        logs: dict[str, Any] = {"accuracy": (right.sum(), int(answered.sum())), "answered": answered.float().mean()}
        if self.learns:
            logs["temperature"] = 1 / learnt_scale(joined["logit_scale"].detach())
        return mean_over_questions(losses, related), logs


@torch.no_grad()
def first_is_positive(queries: Tensor, passages: Tensor, related: Relations) -> Tensor:
    """Whether a positive of each question is more similar to it than all passages that do not answer it, (B,) bool.

    Args:
        queries: (B, d).
        passages: (N, d).
        related: Which passage answers which question.
    """
    similar = queries @ passages.t()
    best = similar.masked_fill(related.relevant & ~related.positive, -torch.inf).argmax(1, keepdim=True)
    return related.positive.gather(1, best).squeeze(1)


def dpr_loss(queries: Tensor, passages: Tensor, labels: Tensor) -> Tensor:
    """The mean of -log softmax(q . p) at each question's positive, over all passages.

    Args:
        queries: (B, d).
        passages: (N, d); the positives and negatives of all questions, in any order.
        labels: (B,) int64, the row of each question's positive in `passages`; -100 for a question without one.

    Returns:
        A scalar, the mean over the questions that have a label; 0 if none has.

    Raises:
        UsageError: The shapes do not match, or a label is not a row.

    >>> loss = dpr_loss(torch.eye(2), torch.eye(2), torch.tensor([0, 1]))
    >>> round(loss.item(), 4), dpr_loss(torch.eye(2), torch.eye(2), torch.tensor([-100, -100])).item()
    (0.3133, 0.0)
    """
    refuse_other_widths(queries, passages)
    if labels.shape != queries.shape[:1]:
        raise UsageError(f"expected a label for each of {len(queries)} questions, found the shape {list(labels.shape)}")
    known = labels != -100
    if (known & ((labels < 0) | (labels >= len(passages)))).any():
        raise UsageError(f"expected labels from 0 to {len(passages) - 1}, or -100, found {labels.tolist()}")
    total = F.cross_entropy(queries @ passages.t(), labels, reduction="sum")
    return total / known.sum().clamp(min=1)


def clip_loss(images: Tensor, texts: Tensor, logit_scale: Tensor | float) -> Tensor:
    """The mean of two cross entropies: of each image's text among all texts, and of each text's image among all images.

    Args:
        images: (B, d), normalised to length 1 here.
        texts: (B, d), likewise; row i is the text of image i.
        logit_scale: t; cosines are multiplied by exp(t), at most 100.

    Returns:
        A scalar; 0 for an empty batch.

    Raises:
        UsageError: The shapes differ.

    >>> round(clip_loss(torch.eye(2), torch.eye(2), 0.0).item(), 4)
    0.3133
    """
    if images.shape != texts.shape:
        raise UsageError(f"expected a text for each image, found {list(images.shape)} and {list(texts.shape)}")
    images, texts = comparable(images, texts, "cosine")
    scale = torch.as_tensor(logit_scale, dtype=images.dtype, device=images.device).exp().clamp(max=LARGEST_SCALE)
    logits, labels = scale * images @ texts.t(), torch.arange(len(images), device=images.device)
    total = F.cross_entropy(logits, labels, reduction="sum") + F.cross_entropy(logits.t(), labels, reduction="sum")
    return total / (2 * max(len(images), 1))


def info_nce_loss(
    queries: Tensor,
    positives: Tensor,
    negatives: Tensor | None = None,
    temperature: float = 0.05,
    directions: Sequence[str] = ONE_WAY,
    partition: Literal["joint", "per_direction"] = "joint",
    hardness: float = 0.0,
    hardness_of: str = HARDNESS_OF[0],
) -> Tensor:
    """InfoNCE of cosines over a temperature; the loss is described in `_contrast.py`.

    Args:
        queries: (B, d).
        positives: (B, d); row i answers question i.
        negatives: (B, K, d), hard negatives of each question; None: no hard negatives.
        temperature: Divides cosines, above 0.
        directions: `query_to_passage`, `passage_to_query`, `query_to_query`, `passage_to_passage`.
        partition: One softmax over all directions, or the mean of one per direction.
        hardness: The cosine times this factor is added to the logits of negatives; at least 0.
        hardness_of: `hard_negatives`, `in_batch_negatives` or `all_negatives`.

    Returns:
        A scalar, the mean over the questions; 0 for an empty batch.

    Raises:
        UsageError: The shapes do not match, or an argument is out of range.

    >>> round(info_nce_loss(torch.eye(2), torch.eye(2), temperature=1.0).item(), 4)
    0.3133
    """
    hard = queries.new_zeros(len(queries), 0, queries.shape[-1]) if negatives is None else negatives
    if positives.shape != queries.shape or hard.shape[::2] != queries.shape:
        raise UsageError(
            f"expected (B, d) questions and positives and (B, K, d) negatives, found {list(queries.shape)}, "
            f"{list(positives.shape)} and {list(hard.shape)}"
        )
    if not temperature > 0:
        raise UsageError(f"expected a temperature above 0, found {temperature}")
    rows = torch.arange(len(queries), device=queries.device)
    owner = torch.cat([rows, rows.repeat_interleave(hard.shape[1])])
    own = owner == rows[:, None]
    positive = own & (torch.arange(len(owner), device=queries.device) < len(queries))
    related = Relations(own, positive, positive)
    contrast = Contrast("cosine", directions, partition, hardness, hardness_of)
    losses = contrast(queries, torch.cat([positives, hard.flatten(0, 1)]), related, 1 / temperature)
    return mean_over_questions(losses, related)


def refuse_other_widths(queries: Tensor, passages: Tensor) -> None:
    """Refuse shapes that cannot be multiplied.

    Args:
        queries: Should be (B, d).
        passages: Should be (N, d).

    Raises:
        UsageError: They are not.
    """
    if queries.ndim != 2 or passages.ndim != 2 or queries.shape[1] != passages.shape[1]:
        raise UsageError(
            f"expected (B, d) questions and (N, d) passages, found {list(queries.shape)} and {list(passages.shape)}"
        )
