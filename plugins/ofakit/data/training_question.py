"""What a retriever learns from: a question, the passages that answer it, and passages that seem to."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ofakit.data.bad_examples import BadExamples
from ofakit.data.knowledge_base import KnowledgeBase
from ofakit.data.query import Query

if TYPE_CHECKING:
    import numpy as np

    from ofakit.data.image_store import ImageStore

__all__ = ["TrainingQuestion", "canonical_numbers", "training_questions"]


@dataclass(frozen=True)
class TrainingQuestion:
    """A question of the training split.

    Attributes:
        query: The question.
        query_index: Its number among the training questions.
        relevant: Positions in the base of the passages that answer it.
        relevant_indices: The same by canonical number, which passages of equal text share.
        negatives: Positions of passages that seem to answer it and do not.
        image_paths: Of the question and of all its passages.
    """

    query: Query
    query_index: int
    relevant: tuple[int, ...]
    relevant_indices: tuple[int, ...]
    negatives: tuple[int, ...] = ()
    image_paths: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """The question's id."""
        return self.query.id

    @property
    def image_path(self) -> str | None:
        """The path of the question's own image, if it has one."""
        return self.query.image_path

    @property
    def group(self) -> str:
        """What it asks with: `text`, `image` or `both`, for batches of one kind each."""
        if self.query.text and self.query.image is not None:
            return "both"
        return "text" if self.query.text else "image"

    def pixels(self, store: ImageStore) -> Callable[[str], np.ndarray]:
        """Where its images are found decoded.

        Args:
            store: Has every image of `image_paths`.
        """
        return store.__getitem__


def training_questions(
    queries: Sequence[Query],
    base: KnowledgeBase,
    bad: BadExamples,
    negatives: Mapping[str, Sequence[str]] | None = None,
) -> list[TrainingQuestion]:
    """The questions that can be learned from.

    Args:
        queries: The training split.
        base: Its passages.
        bad: Counts and lists what is left out: questions that are empty, and those that no passage of the base answers.
        negatives: Ids of hard negatives by question; None: there are none.

    Raises:
        UsageError: A passage that is named is not in the base.
    """
    numbers = canonical_numbers(base)
    found: list[TrainingQuestion] = []
    for query in queries:
        relevant = tuple(base.position(passage) for passage in query.relevant_ids)
        if not query.text and query.image is None:
            bad.add(query, "empty question", "the question has neither a text nor an image")
        elif not relevant:
            bad.add(query, "no relevant passage", "no passage of the base is known to answer the question")
        else:
            hard = tuple(base.position(passage) for passage in (negatives or {}).get(query.id, ()))
            answers = {numbers[position] for position in relevant}
            hard = tuple(position for position in hard if numbers[position] not in answers)
            paths = dict.fromkeys(_paths(query, base, (*relevant, *hard)))
            found.append(TrainingQuestion(query, len(found), relevant, tuple(sorted(answers)), hard, tuple(paths)))
    return found


def canonical_numbers(base: KnowledgeBase) -> list[int]:
    """A number for each passage: the position of the first one with the same title, text and image.

    Args:
        base: The passages.

    >>> from ofakit.data.passage import Passage
    >>> canonical_numbers(KnowledgeBase([Passage("a", "x"), Passage("b", "y"), Passage("c", "x")]))
    [0, 1, 0]
    """
    first: dict[Any, int] = {}
    return [
        first.setdefault((passage.title, passage.text, passage.image_path or id(passage.image)), position)
        for position, passage in enumerate(base)
    ]


def _paths(query: Query, base: KnowledgeBase, positions: Sequence[int]) -> Iterator[str]:
    """The paths of the images of a question and of some passages."""
    for item in (query, *(base[position] for position in positions)):
        if item.image_path is not None:
            yield item.image_path
