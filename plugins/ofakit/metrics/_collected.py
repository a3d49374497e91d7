"""Shared by caption metrics: they collect captions with their references, over batches and processes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

from modelscope.metrics.base import Metric

from ofakit.data.style_names import same_style
from ofakit.errors import UsageError

__all__ = ["CollectedCaptions", "Row"]


class Row(NamedTuple):
    """A caption that was added.

    Attributes:
        id: Of its item; None where none was given.
        style: The style asked for, or None.
        caption: What the model wrote.
        references: What people wrote.
        image: The item's image; None where none was given.
    """

    id: str | None
    style: str | None
    caption: str
    references: tuple[str, ...]
    image: Any = None


class CollectedCaptions(Metric):
    """Collects captions; what they are worth is for those built on it to say.

    Attributes:
        keeps_images: Whether the images of a batch are kept too.
    """

    keeps_images: ClassVar[bool] = False

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[Row] = []

    def add(self, outputs: Mapping[str, Any], inputs: Mapping[str, Any]) -> None:
        """Add a batch.

        Args:
            outputs: `captions`, one string per item.
            inputs: `references`, a list of strings for each item; optionally `ids`, `styles` and `images`.

        Raises:
            UsageError: A list is missing or of another length, or holds something that does not belong there.
        """
        captions, references = _column(outputs, "captions"), _column(inputs, "references")
        kept = {name: inputs.get(name) for name in ("ids", "styles", "images")}
        if not self.keeps_images:
            kept["images"] = None
        columns = {name: [None] * len(captions) if column is None else column for name, column in kept.items()}
        columns = {"references": references, **columns}
        for name, column in columns.items():
            if len(column) != len(captions):
                raise UsageError(f"expected as many {name} as captions, found {len(column)} and {len(captions)}")
        for caption, texts, name, style, image in zip(captions, *columns.values(), strict=True):
            if not isinstance(caption, str) or not isinstance(texts, (list, tuple)):
                raise UsageError(
                    f"expected a caption and its list of references, found {caption!r:.100} and {texts!r:.100}"
                )
            self.rows.append(Row(None if name is None else str(name), style, caption, tuple(texts), image))

    def merge(self, other: CollectedCaptions) -> None:
        """Take over the captions that another process added.

        Args:
            other: The metric of that process.
        """
        self.rows += other.rows

    def unique(self) -> Sequence[Row]:
        """The rows without those that occurred before: a sampler may pad its last batch with repeats.

        An id may name an image, which occurs in several styles: only what has the same id, style and references is a
        repeat.
        """
        seen: set[tuple[str, str, tuple[str, ...]]] = set()
        rows = []
        for row in self.rows:
            own = None if row.id is None else (row.id, same_style(row.style or ""), row.references)
            if own is None or own not in seen:
                rows.append(row)
            if own is not None:
                seen.add(own)
        return rows


def _column(batch: Mapping[str, Any], name: str) -> Sequence[Any]:
    column = batch.get(name)
    if not isinstance(column, (list, tuple)):
        raise UsageError(f"expected {name!r} as a list in the batch, found {column!r:.100}; it has {sorted(batch)}")
    return column
