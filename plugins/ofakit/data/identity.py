"""Which examples are the same one: those that share id, image and style. Their references are joined, others are not.

Rows of a data set often share an id that names the image: COCO's `image_id` stands beside every caption, and beside
every style. An id alone therefore never joins what was said in two styles, or of two images.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace

from ofakit.data.example import Example
from ofakit.data.style_names import same_style

__all__ = ["merge", "with_own_ids"]

logger = logging.getLogger(__name__)

SHOWN = 3


def merge(examples: Iterable[Example]) -> list[Example]:
    """Join examples of the same id, image and style: the references of later ones, and their texts of
    regions, go to the first.

    Examples with a text of their own that is not among their references are not joined. An id that names several
    styles or images becomes one id for each; several images under one id and style are a contradiction, and warned of.

    Args:
        examples: Examples, several of which may share an id.

    Returns:
        One example per id, image and style, in order of first appearance, no two with the same id.

    >>> merge([Example("a", references=("x",)), Example("b"), Example("a", references=("y",))])[0].references
    ('x', 'y')
    >>> [e.id for e in merge([Example("0", "a.jpg", style="dry"), Example("0", "a.jpg", style="sweet")])]
    ['0#dry', '0#sweet']
    """
    examples = list(examples)
    uses = Counter(map(_base, examples))
    groups: dict[tuple[object, ...], list[Example]] = {}
    for number, example in enumerate(examples):
        base = _base(example)
        if uses[base] == 1:
            key: tuple[object, ...] = (base,)
        else:
            own = None if example.text is None or example.text in example.references else number
            key = (base, _style(example), example.image_key, own)
        groups.setdefault(key, []).append(example)
    return with_own_ids([_joined(group) for group in groups.values()])


def with_own_ids(examples: Sequence[Example]) -> list[Example]:
    """Examples of which no two share an id: the style is added to ids that name several styles, then a number.

    Args:
        examples: No two of the same id, image and style.

    Returns:
        The examples in order; those whose id was their own are as they were.
    """
    uses = Counter(map(_base, examples))
    styles: dict[str, set[str]] = {}
    images: dict[tuple[str, str], dict[str, Example]] = {}
    for example in examples:
        if uses[_base(example)] > 1:
            styles.setdefault(_base(example), set()).add(_style(example))
            images.setdefault((_base(example), _style(example)), {})[example.image_key] = example
    taken: dict[str, int] = {}
    named = []
    for example in examples:
        base = _base(example)
        own = _free(f"{base}#{example.style}" if len(styles.get(base, ())) > 1 and example.style else example.id, taken)
        named.append(example if own == example.id else replace(example, id=own))
    _report_several_images([(base, list(shown.values())) for (base, _), shown in images.items() if len(shown) > 1])
    return named


def _free(own: str, taken: dict[str, int]) -> str:
    """An id that is not taken, with a number behind it where its name is; it then is taken."""
    free = own
    while free in taken:
        taken[own] += 1
        free = f"{own}#{taken[own]}"
    taken[free] = 1
    return free


def _joined(group: Sequence[Example]) -> Example:
    """One example with the references of all of a group."""
    first, *others = group
    if not others:
        return first
    references = [text for example in group for text in example.references]
    if any(example.text is not None for example in group):
        references = list(dict.fromkeys(references))
    said = tuple(dict.fromkeys(text for example in group for text in example.region_texts))
    return replace(first, text=None, references=tuple(references), region_texts=said)


def _base(example: Example) -> str:
    """The id without the style, which readers add after `#`."""
    if example.style is None or not example.id.endswith(f"#{example.style}"):
        return example.id
    return example.id.removesuffix(f"#{example.style}")


def _style(example: Example) -> str:
    """What the spellings of its style have in common."""
    return same_style(example.style or "")


def _report_several_images(shared: Sequence[tuple[str, Sequence[Example]]]) -> None:
    """Warn of ids that name several images."""
    if not shared:
        return
    listed = "; ".join(
        f"{base!r} ({', '.join(e.image_path or 'an image in memory' for e in examples[:SHOWN])})"
        for base, examples in shared[:SHOWN]
    )
    logger.warning(f"{len(shared)} ids each name several images, which are kept apart, such as {listed}")
