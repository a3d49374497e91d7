"""Texts in sentences, with the number of tokens of each.

A sentence ends behind `.`, `!`, `?` or their like in other scripts and the marks that follow, such as a closing quote;
`Dr.` or `3.30` end none, since their dots are no tokens. That is spaCy's sentencizer on its English tokens, which
`spacy_sentences` asks itself where spaCy is installed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, NamedTuple

from ofakit.errors import UsageError, did_you_mean
from ofakit.retrieval.english_tokens import english_tokens

__all__ = ["SENTENCES", "Sentence", "sentence_splitter", "sentences", "spacy_sentences"]


class Sentence(NamedTuple):
    """A sentence.

    Attributes:
        text: Without the space that follows it; white space before it, such as the end of a line, belongs to it.
        tokens: How many words and marks it has.
    """

    text: str
    tokens: int


def sentences(text: str) -> Iterator[Sentence]:
    """Cut a text into sentences by rule.

    Args:
        text: In English, or in a language with the same marks.

    Yields:
        The sentences, which hold all of the text but spaces between them.

    >>> [sentence.text for sentence in sentences('Dr. No said "Yes." He left at 3.30 p.m. on Jan. 5th.')]
    ['Dr. No said "Yes."', 'He left at 3.30 p.m. on Jan. 5th.']
    """
    begin = end = count = 0
    ended = False
    for start, token in english_tokens(text):
        if ended and not token.mark and not token.ends:
            yield Sentence(text[begin:end], count)
            begin, count, ended = start, 0, False
        ended = ended or token.ends
        end = start + token.length
        count += 1
    if count:
        yield Sentence(text[begin:end], count)


def spacy_sentences(text: str) -> Iterator[Sentence]:
    """Cut a text into sentences with spaCy's English tokenizer and sentencizer.

    Args:
        text: The text.

    Yields:
        The sentences.

    Raises:
        UsageError: spaCy is not installed.
    """
    for sentence in _spacy()(text).sents:
        yield Sentence(sentence.text, len(sentence))


SENTENCES: dict[str, Callable[[str], Iterator[Sentence]]] = {"rule": sentences, "spacy": spacy_sentences}
"""Ways to cut, by the name that a tool has for them."""


def sentence_splitter(name: str) -> Callable[[str], Iterator[Sentence]]:
    """A way to cut.

    Args:
        name: `rule` or `spacy`.

    Raises:
        UsageError: There is none of this name, or spaCy is not installed.
    """
    if name not in SENTENCES:
        raise UsageError(f"unknown sentence splitter {name!r}: {did_you_mean(name, SENTENCES)}")
    if name == "spacy":
        _spacy()
    return SENTENCES[name]


@cache
def _spacy() -> Any:
    """spaCy's pipeline."""
    try:
        from spacy.lang.en import English
    except ImportError:
        raise UsageError(
            "sentences of 'spacy' need spaCy: pip install spacy. 'rule' splits English in the same places without it"
        ) from None
    pipeline = English()
    pipeline.add_pipe("sentencizer")
    pipeline.max_length = 10**9
    return pipeline
