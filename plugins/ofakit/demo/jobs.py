"""Jobs for the single computing thread: captions with some settings, or passages of an index.

    queue = job_queue(Limits())
    await queue.answers([(CaptionJob(captioner, (("num_beams", 3),)), (square, "pirate"))])

Items of jobs that are equal are computed together, whoever asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from ofakit.data.query import Query
from ofakit.demo.passage_search import Hit, PassageSearch
from ofakit.inference.captioner import Captioner, CaptionResult
from ofakit.serving.batching import BatchQueue
from ofakit.serving.limits import Limits

__all__ = ["CaptionJob", "Job", "SearchJob", "job_queue"]


class Job(Protocol):
    """Computes items; hashable, and equal to another one where items of both can be computed together."""

    def __hash__(self) -> int: ...

    def __call__(self, items: Sequence[Any]) -> Sequence[Any]:
        """The answers of some items, in their order."""


@dataclass(frozen=True)
class CaptionJob:
    """Captions; an item is a square of pixels and a style.

    Attributes:
        captioner: Writes them.
        generation: Names and values of its settings that are changed.
    """

    captioner: Captioner
    generation: tuple[tuple[str, Any], ...]

    def __call__(self, items: Sequence[tuple[np.ndarray, str | None]]) -> list[CaptionResult]:
        """Caption.

        Args:
            items: Squares and styles.

        Raises:
            UsageError: A setting is out of its range.
        """
        squares, styles = zip(*items, strict=True)
        return self.captioner.caption(squares, styles, len(items), generation=dict(self.generation))


@dataclass(frozen=True)
class SearchJob:
    """Passages; an item is a query.

    Attributes:
        search: Finds them.
        index: The name of an index.
        modalities: What is searched by.
        number: Passages of each query.
    """

    search: PassageSearch
    index: str
    modalities: tuple[str, ...]
    number: int

    def __call__(self, items: Sequence[Query]) -> list[list[Hit]]:
        """Search.

        Args:
            items: Queries.
        """
        return self.search.search(items, self.index, self.modalities, self.number)


def job_queue(limits: Limits) -> BatchQueue[tuple[Job, Any], Any]:
    """A queue of jobs with an item each, and the thread that computes.

    Args:
        limits: Of a batch, and of how many may wait.
    """

    def compute(asked: list[tuple[Job, Any]]) -> Sequence[Any]:
        return asked[0][0]([item for _, item in asked])

    return BatchQueue(compute, limits.batch_size, limits.patience, limits.queue, kind=lambda asked: asked[0])
