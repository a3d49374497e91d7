"""Shared by the objectives of retrieval: questions and passages of a batch become vectors.

    {"type": "contrastive", "query": ["text", "image"], "passage": ["text"], "groups": ["both"]}

`query` and `passage` list the modalities that the vectors of each side are made from. With `groups` an objective learns
only from the examples of those groups; the other objectives of a run learn from the rest (`train.dataloader.mixing`).
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ofakit.errors import UsageError, did_you_mean
from ofakit.objectives._relevance import Relations, known_pairs, relations
from ofakit.objectives.base import JoinedObjective, Logs

__all__ = [
    "LARGEST_SCALE",
    "RetrievalObjective",
    "checked_modalities",
    "learnt_scale",
    "limit_scale",
    "parameter_rows",
    "teacher_rows",
]

LARGEST_SCALE = 100.0
"""Largest scale of similarities; a learnt one would otherwise grow until the softmax overflows. As in OpenAI's CLIP."""

NUMBERS = ("query_index", "passage_index", "owner", "positive")


class RetrievalObjective(JoinedObjective):
    """A loss of the joined batch over the vectors of its questions and passages.

    Args:
        kind: The objective's type, for messages.
        query: The modalities of a question's vector: `text`, `image`, or both.
        passage: Likewise for a passage.
        groups: Names of the groups of examples that it learns from; None: all.

    Raises:
        UsageError: A modality is unknown, or there is none.
    """

    def __init__(self, kind: str, query: Sequence[str], passage: Sequence[str], groups: Sequence[str] | None) -> None:
        self.kind = kind
        self.query, self.passage = checked_modalities(query, "query"), checked_modalities(passage, "passage")
        self.groups = groups
        self.known = torch.zeros(0, dtype=torch.int64)
        self.in_groups: Tensor | None = None

    def prepare(self, examples: Sequence[Any], bundle: Any, work_dir: Path) -> None:
        """Collect the passages that are known to answer each training question.

        Args:
            examples: The training examples, with `query_index`, `relevant_indices` and, if there are several tasks,
                `group`.
            bundle: Its model has `embed`.
            work_dir: Not used.

        Raises:
            UsageError: The examples or the model are not for retrieval.
        """
        if not hasattr(bundle.model, "embed"):
            raise UsageError(
                f"{self.kind}: expected a model that computes vectors, found {type(bundle.model).__name__}; set "
                "model.type to retriever"
            )
        self.known = known_pairs(examples, self.kind)
        if self.groups is not None:
            self.in_groups = torch.zeros(1 + max((e.query_index for e in examples), default=0), dtype=torch.bool)
            for example in examples:
                self.in_groups[example.query_index] = example.group in self.groups

    def represent(self, model: Any, batch: Mapping[str, Any]) -> dict[str, Tensor]:
        """The vectors of a micro-batch, and which passage answers which question.

        Args:
            model: A model with `embed`.
            batch: A batch of retrieval.

        Returns:
            `queries` (B, d), `passages` (N, d), `query_index` (B,), `passage_index`, `owner` and `positive` (N,), and
            whatever else the objective needs.
        """
        vectors = {
            "queries": model.embed("query", batch["query"], self.query),
            "passages": model.embed("passage", batch["passage"], self.passage),
        }
        return {**vectors, **{name: batch[name] for name in NUMBERS}, **self.further(model, batch)}

    def further(self, model: Any, batch: Mapping[str, Any]) -> dict[str, Tensor]:
        """Whatever else the loss needs from a micro-batch; nothing by default.

        Args:
            model: A model with `embed`.
            batch: A batch of retrieval.
        """
        return {}

    def learns_from(self, batch: Mapping[str, Any]) -> bool:
        """Whether a batch belongs to this objective's task and groups.

        Args:
            batch: Any batch; one of the objective's task is a batch of retrieval.

        Raises:
            UsageError: Only part of it belongs to the objective's groups.
        """
        if self.in_groups is None or not super().learns_from(batch):
            return super().learns_from(batch)
        found = self.in_groups[batch["query_index"].to("cpu")]
        if found.any() != found.all():
            raise UsageError(
                f"{self.kind}: a batch mixes examples of {', '.join(self.groups or ())} with others; set "
                "train.dataloader.mixing, which gives every batch a single group"
            )
        return bool(found.all())

    def loss(self, representations: Mapping[str, Tensor]) -> tuple[Tensor, Logs]:
        """The loss of the joined batch.

        Args:
            representations: From `represent`, joined.

        Returns:
            The loss, and the logs.
        """
        self.known = self.known.to(representations["query_index"].device)
        return self.loss_of(representations, relations(representations, self.known))

    @abstractmethod
    def loss_of(self, joined: Mapping[str, Tensor], related: Relations) -> tuple[Tensor, Logs]:
        """The loss of a joined batch of this objective's groups.

        Args:
            joined: From `represent`, joined.
            related: How its passages relate to its questions.
        """


def checked_modalities(names: Sequence[str], key: str) -> list[str]:
    """The modalities of one side.

    Args:
        names: The names as configured.
        key: The configuration key, for the message.

    Raises:
        UsageError: The list is empty or contains an unknown name.
    """
    for name in names:
        if name not in ("text", "image"):
            raise UsageError(f"unknown modality {name!r} of {key}: {did_you_mean(str(name), ('text', 'image'))}", key)
    if not names:
        raise UsageError(f"expected text, image or both for {key}, found none", key)
    return list(names)


def parameter_rows(model: Any, name: str, kind: str) -> Tensor:
    """A parameter of the model as one row, so that it receives its gradient with the vectors of each micro-batch.

    Args:
        model: The model.
        name: The name of the parameter.
        kind: The objective's type, for the message.

    Returns:
        (1, size), or (1,) for a scalar.

    Raises:
        UsageError: The model has no such parameter.
    """
    parameter = getattr(model, name, None)
    if parameter is None:
        raise UsageError(
            f"{kind}: expected a model with the parameter {name}, which this loss learns, found a "
            f"{type(model).__name__} without it; set model.type to retriever, or do not learn it"
        )
    return parameter[None]


def teacher_rows(batch: Mapping[str, Any], kind: str) -> Tensor:
    """A teacher's scores of the passages of a batch.

    Args:
        batch: With `teacher` (N,), NaN where the teacher has no score.
        kind: The objective's type, for the message.

    Raises:
        UsageError: It has none.
    """
    if "teacher" not in batch:
        raise UsageError(
            f"{kind}: expected a teacher's scores of the passages, found none; set data.teacher_scores to their file"
        )
    return batch["teacher"]


def learnt_scale(rows: Tensor) -> Tensor:
    """exp(t), at most 100, of a learnt logarithm t; at and beyond the limit it keeps a gradient, so that it can return.

    Args:
        rows: t of every micro-batch, (batches,), all equal.

    >>> round(learnt_scale(torch.tensor([2.6593, 2.6593])).item(), 2), round(learnt_scale(torch.tensor([9.0])).item())
    (14.29, 100)
    """
    logarithm = rows.mean()
    beyond = (logarithm.detach() - math.log(LARGEST_SCALE)).clamp(min=0)
    return (logarithm - beyond).exp()


@torch.no_grad()
def limit_scale(model: Any) -> None:
    """Set a scale that has grown beyond its limit back to the limit.

    Args:
        model: A model with the parameter `logit_scale`.
    """
    model.logit_scale.clamp_(max=math.log(LARGEST_SCALE))
