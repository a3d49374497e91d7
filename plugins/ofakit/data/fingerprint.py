"""Tell whether training examples are the ones that a run began with."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import PurePath
from typing import Any

from ofakit.data.question import Question

__all__ = ["examples_fingerprint"]


def examples_fingerprint(examples: Iterable[Any]) -> str:
    """Their number, and a hash of what each says: id, texts, style, names of images, and what answers a question.

    The folder that images lie in does not count, so that data may move.

    Args:
        examples: `Example`, `TrainingQuestion`, another class with an `id`, or what has one of these as `example`.

    >>> from ofakit.data.example import Example
    >>> here, there = Example("1", "a/dog.jpg", "a dog"), Example("1", "b/dog.jpg", "a dog")
    >>> examples_fingerprint([here]) == examples_fingerprint([there])
    True
    >>> examples_fingerprint([Example("1", None, "a dog"), Example("2", None, "a cat")])
    '2 examples 5129b316'
    """
    digest, count = hashlib.blake2b(digest_size=4), 0
    for example in examples:
        item = getattr(example, "query", getattr(example, "example", example))
        said = [getattr(item, name, None) for name in ("id", "text", "references", "style")]
        said += [item.question, item.annotated, item.scores] if isinstance(item, Question) else []
        said += [item.region_texts] if getattr(item, "region_texts", ()) else []
        images = [PurePath(path).name for path in getattr(example, "image_paths", ())]
        answers = [getattr(example, name, None) for name in ("relevant", "negatives")]
        digest.update(json.dumps([said, images, answers], default=str).encode() + b"\n")
        count += 1
    return f"{count} examples {digest.hexdigest()}"
