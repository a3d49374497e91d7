"""The words that BM25 counts: in lower case, two characters or longer, without stop words, stemmed on request.

They are cut as scikit-learn's CountVectorizer cuts them, by bm25s.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ofakit.errors import UsageError, did_you_mean
from ofakit.retrieval.bm25_settings import BM25Settings

__all__ = ["known_words", "tokenize"]


def known_words(texts: Sequence[str | None], numbers: Mapping[str, int], settings: BM25Settings) -> list[np.ndarray]:
    """The numbers of the words of each text.

    Args:
        texts: What is asked for.
        numbers: Of words. The empty word, which bm25s gives to a text without any, is none.
        settings: How texts become words.

    Returns:
        For each text int64, shape (words,).
    """
    split = tokenize(texts, settings, words=True)
    return [np.array([numbers[w] for w in words if w and w in numbers], dtype=np.int64) for words in split]


def tokenize(texts: Sequence[str | None], settings: BM25Settings, progress: bool = False, words: bool = False) -> Any:
    """Cut texts into words.

    Args:
        texts: Texts; None is one without words.
        settings: Stop words and stemmer.
        progress: Whether to show progress bars on stderr.
        words: Give lists of words, and not a `bm25s.tokenization.Tokenized`.

    Raises:
        UsageError: There is no such stop list or stemmer.
    """
    import bm25s

    try:
        return bm25s.tokenize(
            _Texts(texts),
            stopwords=[] if settings.stopwords is None else settings.stopwords,
            stemmer=_stemmer(settings.stemmer),
            return_ids=not words,
            show_progress=progress,
        )
    except ValueError as error:
        raise UsageError(f"BM25: stopwords {settings.stopwords!r}: {error}", "stopwords") from error


class _Texts(Sequence[str]):
    """Texts one after the other, so that all of a base need not be in memory; one that is missing is empty."""

    def __init__(self, texts: Sequence[str | None]) -> None:
        self.texts = texts

    def __len__(self) -> int:
        return len(self.texts)

    def __getitem__(self, position):
        return self.texts[position] or ""

    def __iter__(self) -> Iterator[str]:
        return (text or "" for text in self.texts)


def _stemmer(language: str | None) -> Callable[[list[str]], list[str]] | None:
    if language is None:
        return None
    try:
        import Stemmer
    except ImportError as error:
        raise UsageError("BM25: a stemmer needs PyStemmer; pip install PyStemmer", "stemmer") from error
    if language not in Stemmer.algorithms():
        raise UsageError(
            f"BM25: unknown stemmer {language!r}: {did_you_mean(language, Stemmer.algorithms())}", "stemmer"
        )
    return Stemmer.Stemmer(language).stemWords
