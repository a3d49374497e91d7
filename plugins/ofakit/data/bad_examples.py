"""Examples that cannot be used are counted, listed and left out; too many of them are an error.

Training finds its bad images before the first step, while the image store is being filled. Left out at that point,
they never get a place in the order of examples: every process has the same data set, no step is short of an example,
and a resumed run sees the same batches as an uninterrupted one.
"""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ofakit.errors import UsageError
from ofakit.files import saving
from ofakit.json_text import to_json

if TYPE_CHECKING:
    from ofakit.data.image_store import ImageStore

__all__ = ["BadExamples", "usable_examples"]

log = logging.getLogger(__name__)

BAD_IMAGE = "bad image"


class BadExamples:
    """Counts and lists what is left out.

    Args:
        max_fraction: The share of examples, 0 to 1, that may have a bad image (`data.max_bad_fraction`).
        path: Where `write` puts the list, `<run>/bad_examples.jsonl`; None keeps it in memory.

    Attributes:
        rows: One dict per example: id, image, style, kind, reason.
    """

    def __init__(self, max_fraction: float = 0.01, path: str | Path | None = None) -> None:
        self.max_fraction = max_fraction
        self.path = None if path is None else Path(path)
        self.rows: list[dict[str, str | None]] = []

    @property
    def counts(self) -> dict[str, int]:
        """How many there are of each kind."""
        return dict(Counter(str(row["kind"]) for row in self.rows))

    def add(self, example: Any, kind: str, reason: str) -> None:
        """Count and list an example.

        Args:
            example: What is left out; it has an `id`, and perhaps `image_path` and `style`.
            kind: Such as "bad image" or "empty caption".
            reason: Why.
        """
        image, style = (getattr(example, name, None) for name in ("image_path", "style"))
        self.rows.append({"id": example.id, "image": image, "style": style, "kind": kind, "reason": reason})

    def check(self, total: int) -> None:
        """Refuse to continue with too many bad images.

        Args:
            total: How many examples there were, including the bad ones.

        Raises:
            UsageError: More than `max_fraction` of them have a bad image.
        """
        bad = [row for row in self.rows if row["kind"] == BAD_IMAGE]
        if len(bad) <= self.max_fraction * total:
            return
        listed = f"All are listed in {self.path}. " if self.path else ""
        raise UsageError(
            f"{len(bad)} of {total} examples ({len(bad) / total:.1%}) have a missing or unreadable image, expected "
            f"at most data.max_bad_fraction = {self.max_fraction:g}. The first is {bad[0]['image']}: "
            f"{bad[0]['reason']}. {listed}Check data.root and the reader's image folder, or raise the limit"
        )

    def write(self) -> None:
        """Write the list to `path`, whole or not at all; an empty list removes an older one."""
        if self.path is None:
            return
        if not self.rows:
            self.path.unlink(missing_ok=True)
            return
        beside = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        text = "".join(to_json(row) + "\n" for row in self.rows)
        with saving(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            beside.write_text(text, encoding="utf-8")
            os.replace(beside, self.path)


def usable_examples(
    examples: Sequence[Any],
    store: ImageStore,
    bad: BadExamples,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> list[Any]:
    """Fill the image store and leave out the examples whose image is missing or unreadable.

    Args:
        examples: The training examples.
        store: Gets every image that has a path. Images in memory are decoded once, just to see whether they can be.
        bad: Counts and lists what is left out; the list is written too.
        workers: Threads that decode.
        progress: Called with (done, all) after each decoded image.

    Returns:
        The usable examples in order. Examples without an image are usable.

    Raises:
        UsageError: Too many images are bad, or the disk has no room for the store.
    """
    paths = list(dict.fromkeys(path for example in examples for path in example.image_paths))
    reasons = store.add_many(paths, workers, progress)
    usable = []
    for example in examples:
        reason = _reason(example, reasons)
        if reason is None:
            usable.append(example)
        else:
            bad.add(example, BAD_IMAGE, reason)
    bad.write()
    bad.check(len(examples))
    if len(usable) < len(examples):
        log.warning("left out %d of %d examples with bad images", len(examples) - len(usable), len(examples))
    return usable


def _reason(example: Any, reasons: Mapping[str, str]) -> str | None:
    """Why an example cannot be used; None if it can."""
    if not example.image_paths:
        return _reason_in_memory(getattr(example, "image", None))
    path = next((path for path in example.image_paths if path in reasons), None)
    if path is None:
        return None
    return reasons[path] if path == example.image_path else f"{path}: {reasons[path]}"


def _reason_in_memory(image: Any) -> str | None:
    """Why an image in memory cannot be decoded; None if it can, or if there is none."""
    from ofakit.data.decoding import BadImage, load_square

    try:
        if image is not None:
            load_square(image, 1)
    except BadImage as error:
        return error.reason
    return None
