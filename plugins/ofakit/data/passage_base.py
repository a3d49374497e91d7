"""The interface of a base of passages, in memory (`KnowledgeBase`) or in a folder (`StoredBase`).

A base is walked over in its order, and asked for passages by position, id and article. Whoever takes one keeps to
that, and copies neither its passages nor their texts, so that a base of any size can be searched.
"""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property

import numpy as np

from ofakit.data.passage import Passage
from ofakit.json_text import to_json

__all__ = ["Chosen", "PassageBase", "PassageTexts", "passage_line"]


class PassageBase(Sequence[Passage]):
    """Passages in their order, no two of one id."""

    @abstractmethod
    def __contains__(self, passage_id: object) -> bool:
        """Whether there is a passage of this id."""

    @abstractmethod
    def position(self, passage_id: str) -> int:
        """Where a passage stands.

        Args:
            passage_id: Its id.

        Raises:
            UsageError: The base has no such passage.
        """

    @property
    @abstractmethod
    def articles(self) -> Mapping[str, Sequence[int]]:
        """The positions of each article's passages, in order; articles in the order of their first passage."""

    @cached_property
    def digest(self) -> str:
        """A hash of all passages; images count by their path."""
        digest = hashlib.blake2b(digest_size=16)
        for passage in self:
            digest.update(passage_line(passage))
        return digest.hexdigest()

    @property
    def ids(self) -> PassageTexts:
        """The ids of all passages."""
        return PassageTexts(self, lambda passage: passage.id)

    def titled(self, separator: str | None = " ") -> PassageTexts:
        """The texts of all passages, with their titles in front.

        Args:
            separator: What stands between; None leaves titles out.
        """
        return PassageTexts(self, lambda passage: passage.titled(separator))


class Chosen(Sequence[Passage]):
    """Some passages of a base, read when they are asked for.

    Args:
        base: All passages.
        places: Positions of these, int64.
    """

    def __init__(self, base: Sequence[Passage], places: np.ndarray) -> None:
        self.base = base
        self.places = places

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, position):
        if isinstance(position, slice):
            return [self.base[place] for place in self.places[position].tolist()]
        return self.base[int(self.places[position])]


class PassageTexts(Sequence[str]):
    """A text of each passage of a base, made when it is asked for.

    Args:
        base: The passages.
        text_of: The text of a passage.
    """

    def __init__(self, base: Sequence[Passage], text_of: Callable[[Passage], str]) -> None:
        self.base = base
        self.text_of = text_of

    def __len__(self) -> int:
        return len(self.base)

    def __iter__(self) -> Iterator[str]:
        return map(self.text_of, self.base)

    def __getitem__(self, position):
        if isinstance(position, slice):
            return [self.text_of(passage) for passage in self.base[position]]
        return self.text_of(self.base[position])


def passage_line(passage: Passage) -> bytes:
    """A passage as a line of JSON, without what it lacks.

    Args:
        passage: The passage; an image that is no path is left out.
    """
    fields = {"id": passage.id, "text": passage.text, "title": passage.title, "image": passage.image_path}
    row = {name: value for name, value in {**fields, "article": passage.article}.items() if value is not None}
    return to_json(row).encode("utf-8", "surrogatepass") + b"\n"
