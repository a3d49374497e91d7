"""From one example per image and style to one per caption and back, leaving out captions that say nothing."""

from __future__ import annotations

import string
import unicodedata
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from ofakit.data.example import Example

if TYPE_CHECKING:
    from ofakit.data.bad_examples import BadExamples

__all__ = ["drop_empty", "expand", "is_empty", "one_per_image"]

SAYS_NOTHING = string.punctuation + string.whitespace


def expand(examples: Iterable[Example], bad: BadExamples | None = None) -> list[Example]:
    """Give one example per caption, with `text` set, for training.

    An example that has a `text` already is kept as it is. Empty captions are left out.

    Args:
        examples: Examples as readers give them.
        bad: Counts and lists what is left out.

    Returns:
        The examples in order, the captions of one example beside each other. `references` stay complete.

    >>> [e.text for e in expand([Example("a", references=("one", " ", "two"))])]
    ['one', 'two']
    """
    expanded = []
    for example in examples:
        if example.text is not None:
            captions = [(example.id, example.text)]
        else:
            captions = [(f"{example.id}#{k}", text) for k, text in enumerate(example.references)]
            if not captions and bad is not None:
                bad.add(example, "empty caption", "the example has no caption")
        for name, text in captions:
            if not is_empty(text):
                expanded.append(replace(example, id=name, text=text))
            elif bad is not None:
                bad.add(replace(example, id=name), "empty caption", f"found {text!r}")
    return expanded


def is_empty(caption: str) -> bool:
    """Whether a caption holds nothing but white space and punctuation, in any script, so that no word is left to score.

    Args:
        caption: The caption.

    >>> is_empty(" ..."), is_empty("。…“”"), is_empty("no."), is_empty("好。"), is_empty("\N{THUMBS UP SIGN}")
    (True, True, False, False, False)
    """
    return all(letter in SAYS_NOTHING or unicodedata.category(letter)[0] in "PZC" for letter in caption)


def drop_empty(examples: Iterable[Example], bad: BadExamples | None = None) -> list[Example]:
    """Leave out empty references, and examples that keep none, before captions are scored.

    A score against no reference, or an empty one, is undefined; left in, it would turn averages into NaN.

    Args:
        examples: Examples as readers give them.
        bad: Counts and lists what is left out.

    Returns:
        The examples that have something to be scored against, in order.

    >>> [e.references for e in drop_empty([Example("a", references=("one", "")), Example("b", references=("",))])]
    [('one',)]
    """
    kept = []
    for example in examples:
        references = tuple(text for text in example.references if not is_empty(text))
        if bad is not None and len(references) < len(example.references):
            bad.add(example, "empty reference", f"{len(example.references) - len(references)} empty")
        if references:
            kept.append(replace(example, references=references))
        elif bad is not None and not example.references:
            bad.add(example, "empty reference", "the example has no reference")
    return kept


def one_per_image(examples: Iterable[Example]) -> list[Example]:
    """Join the examples of one image in one style, without a caption of their own but with all references.

    Examples without an image are joined where they share an id.

    Args:
        examples: As a reader gives them, or one per caption.

    >>> rows = [Example("1", "a.jpg", text="one", references=("one",)), Example("2", "a.jpg", references=("two",))]
    >>> [(e.text, e.references) for e in one_per_image(rows)]
    [(None, ('one', 'two'))]
    """
    joined: dict[tuple[str, str | None], Example] = {}
    for example in examples:
        key = (example.image_key or example.id, example.style_key)
        references = example.references or (() if example.text is None else (example.text,))
        first = joined.setdefault(key, replace(example, text=None, references=()))
        united = tuple(dict.fromkeys([*first.references, *references]))
        said = tuple(dict.fromkeys([*first.region_texts, *example.region_texts]))
        joined[key] = replace(first, references=united, region_texts=said)
    return list(joined.values())
