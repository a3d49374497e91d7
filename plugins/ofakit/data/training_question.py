"""What a retriever learns from: a question, the passages that answer it, and hard negatives."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ofakit.data.bad_examples import BadExamples
from ofakit.data.passage import Passage
from ofakit.data.passage_base import PassageBase
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
        relevant_indices: The same by canonical number, which passages of equal text share; each once, in order.
        negatives: Positions of passages that seem to answer it and do not.
        numbers: The canonical number of each of its passages, by position.
        image_paths: Of the question and of all its passages.
    """

    query: Query
    query_index: int
    relevant: tuple[int, ...]
    relevant_indices: tuple[int, ...]
    negatives: tuple[int, ...] = ()
    numbers: Mapping[int, int] = field(default_factory=dict)
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
    base: PassageBase,
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
    hard_of = negatives or {}
    named = (passage for query in queries for passage in (*query.relevant_ids, *hard_of.get(query.id, ())))
    numbers = canonical_numbers(base, (base.position(passage) for passage in named))
    found: list[TrainingQuestion] = []
    for query in queries:
        relevant = tuple(base.position(passage) for passage in query.relevant_ids)
        if not query.text and query.image is None:
            bad.add(query, "empty question", "the question has neither text nor image")
        elif not relevant:
            bad.add(query, "no relevant passage", "no passage of the knowledge base is known to answer the question")
        else:
            answers = {numbers[place] for place in relevant}
            hard = tuple(base.position(passage) for passage in hard_of.get(query.id, ()))
            hard = tuple(place for place in hard if numbers[place] not in answers)
            own = {place: numbers[place] for place in (*relevant, *hard)}
            paths = tuple(dict.fromkeys(_paths(query, base, (*relevant, *hard))))
            found.append(TrainingQuestion(query, len(found), relevant, tuple(sorted(answers)), hard, own, paths))
    return found


def canonical_numbers(base: Sequence[Passage], positions: Iterable[int]) -> dict[int, int]:
    """A number for each of some passages: the position of the first of them with the same title, text and image.

    Args:
        base: The passages.
        positions: Those that are compared.

    >>> from ofakit.data.knowledge_base import KnowledgeBase
    >>> base = KnowledgeBase([Passage("a", "x"), Passage("b", "y"), Passage("c", "x"), Passage("d", "y")])
    >>> canonical_numbers(base, [3, 2, 0])
    {0: 0, 2: 0, 3: 3}
    """
    first: dict[Any, int] = {}
    found = {}
    for position in sorted(set(positions)):
        passage = base[position]
        key = (passage.title, passage.text, passage.image_path or id(passage.image))
        found[position] = first.setdefault(key, position)
    return found


def _paths(query: Query, base: PassageBase, positions: Sequence[int]) -> Iterator[str]:
    """The paths of the images of a question and of some passages."""
    items: list[Query | Passage] = [query, *(base[position] for position in positions)]
    for item in items:
        images = item.images if isinstance(item, Query) else (item.image,)
        yield from (str(image) for image in images if isinstance(image, str | Path))
