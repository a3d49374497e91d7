"""The passages of a base in memory, found by id and by article."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property

from ofakit.data.passage import Passage
from ofakit.data.passage_base import PassageBase
from ofakit.errors import UsageError

__all__ = ["KnowledgeBase"]


class KnowledgeBase(PassageBase):
    """Passages in their order.

    Args:
        passages: The passages; those of an article in the order in which they stand there.

    Raises:
        UsageError: Two passages share an id.

    >>> base = KnowledgeBase([Passage("a-0", "x", article="a"), Passage("b-0", "y", article="b")])
    >>> base.position("b-0"), base.articles
    (1, {'a': [0], 'b': [1]})
    """

    def __init__(self, passages: Iterable[Passage]) -> None:
        self.passages = list(passages)
        self._positions: dict[str, int] = {}
        for position, passage in enumerate(self.passages):
            first = self._positions.setdefault(passage.id, position)
            if first != position:
                raise UsageError(
                    f"passages {first + 1} and {position + 1} of the knowledge base share the id {passage.id!r}"
                )

    def __len__(self) -> int:
        return len(self.passages)

    def __iter__(self) -> Iterator[Passage]:
        return iter(self.passages)

    def __getitem__(self, position):
        return self.passages[position]

    def __contains__(self, passage_id: object) -> bool:
        return passage_id in self._positions

    def position(self, passage_id: str) -> int:
        """Where a passage stands.

        Args:
            passage_id: Its id.

        Raises:
            UsageError: The base has no such passage.
        """
        if passage_id not in self._positions:
            raise UsageError(
                f"no passage {passage_id!r} among the {len(self)} of the knowledge base, such as {self._some()}"
            )
        return self._positions[passage_id]

    @cached_property
    def articles(self) -> dict[str, list[int]]:
        """The positions of each article's passages, in order; articles in the order of their first passage."""
        found: dict[str, list[int]] = {}
        for position, passage in enumerate(self.passages):
            found.setdefault(passage.article_id, []).append(position)
        return found

    def _some(self) -> str:
        return ", ".join(repr(passage.id) for passage in self.passages[:3])
