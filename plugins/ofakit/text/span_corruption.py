"""Masks spans of words: in T5's pretraining the target is the masked words, in BART's the whole text.

    source, target = corrupt_spans("a man riding a wave".split(), [4, 1, 0, 2, 3], 0.15)
    spelled(source), spelled(target)        # 'a man riding a <extra_id_0>', '<extra_id_0> wave'
    spelled(source, "<mask>")               # 'a man riding a <mask>', as BART reads it

Every word is masked as likely as any other; those that stand side by side become one span.
Source: j-min/VL-T5 `VL-T5/src/preprocess.py` (`corrupt_spans`, `corrupt_bart`).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence

from ofakit.errors import UsageError

__all__ = ["SENTINEL", "corrupt_spans", "spelled"]

SENTINEL = "<extra_id_{}>"
"""T5's token for the span of a number, from 0."""


def corrupt_spans(
    words: Sequence[str], order: Sequence[int], ratio: float, most: int | None = None
) -> tuple[list[str | int], list[str | int]]:
    """A text without some of its words, and these.

    Args:
        words: The text.
        order: A permutation of their positions; the first of them are masked.
        ratio: The share of the words that is masked, rounded down; at least one word is.
        most: At most so many spans; the words of further ones stay. None: any number.

    Returns:
        Source and target, each of words and, as whole numbers from 0, spans.

    Raises:
        UsageError: `order` is not a permutation of the positions, or `ratio` is not in [0, 1].

    >>> corrupt_spans("two dogs run away".split(), [2, 0, 3, 1], 0.75)
    ([0, 'dogs', 1], [0, 'two', 1, 'run', 'away'])
    """
    if sorted(order) != list(range(len(words))) or not 0 <= ratio <= 1:
        raise UsageError(
            f"expected a permutation of {len(words)} positions and a share in [0, 1], found {list(order)!r} and {ratio}"
        )
    masked = set(order[: int(max(ratio * len(words), 1))])
    source: list[str | int] = []
    target: list[str | int] = []
    spans = itertools.count()
    for gone, stretch in itertools.groupby(range(len(words)), masked.__contains__):
        stood = [words[place] for place in stretch]
        number = next(spans) if gone else None
        if number is None or (most is not None and number >= most):
            source += stood
        else:
            source.append(number)
            target += [number, *stood]
    return source, target


def spelled(pieces: Iterable[str | int], sentinel: str = SENTINEL) -> str:
    """The text of source or target.

    Args:
        pieces: From `corrupt_spans`.
        sentinel: What stands for a span; `{}` is its number.

    >>> spelled(["a", 0, "in", 1])
    'a <extra_id_0> in <extra_id_1>'
    """
    return " ".join(piece if isinstance(piece, str) else sentinel.format(piece) for piece in pieces)
