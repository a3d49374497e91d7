"""BM25 over the texts of passages, with their titles in front.

    {"type": "bm25"}
    {"type": "bm25", "k1": 0.9, "b": 0.4, "stemmer": "english"}
    {"type": "bm25", "tune": true}             k1 and b chosen on val, by the score that fits the fusion

Passages without a word of the question are not found, and a question without any known word finds none. The grid of
`tune` is that of `ofakit/retrieval/bm25_tuning.py`; of equally good values those nearest to `k1` and `b` are taken.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ofakit.data.passage_base import PassageBase
from ofakit.data.query import Query
from ofakit.errors import UsageError
from ofakit.retrieval.bm25_index import BM25Index, fingerprint_of
from ofakit.retrieval.bm25_settings import BM25Settings, Variant
from ofakit.retrieval.bm25_tuning import tune_bm25
from ofakit.retrieval.bm25_words import tokenize
from ofakit.retrieval.qrels import Qrels
from ofakit.retrieval.run import Run
from ofakit.retrieval.searchers.base import SearchContext, Searcher

__all__ = ["BM25"]


class BM25(Searcher):
    """Ranks passages by the words they share with the question.

    Args:
        k1: How much more a word counts that occurs often in a passage; 0 counts each word once.
        b: How much longer passages are held down, from 0, not at all, to 1.
        delta: What a word adds at least, in the variants bm25l and bm25+.
        variant: Which formula: lucene, robertson, atire, bm25l or bm25+.
        stopwords: Words that do not count: a language that bm25s has a list of, such as "en", a list, or None.
        stemmer: A language of PyStemmer, such as "english", or None.
        tune: Choose k1 and b on val.

    Raises:
        UsageError: A number is out of its range, or the variant is unknown.
    """

    def __init__(
        self,
        k1: float = 1.5,
        b: float = 0.75,
        delta: float = 0.5,
        variant: Variant = "lucene",
        stopwords: str | list[str] | None = "en",
        stemmer: str | None = None,
        tune: bool = False,
    ) -> None:
        self.settings = BM25Settings(k1, b, delta, variant, stopwords, stemmer)
        self.tune = tune
        self.context = SearchContext()
        self._base: PassageBase | None = None
        self._tokens: Any = None
        self._index: BM25Index | None = None

    def prepare(self, base: PassageBase, context: SearchContext) -> None:
        """Take the texts of a base. They are indexed when k1 and b are known: by the first search.

        Args:
            base: The passages.
            context: Says how titles stand in front, and the folder in which the index is kept.
        """
        self._base, self.context, self._tokens, self._index = base, context, None, None

    def fit(self, queries: Sequence[Query], qrels: Qrels, metric: str) -> Mapping[str, Any]:
        """Choose k1 and b, where they are to be tuned.

        Args:
            queries: Of the validation split.
            qrels: What answers them.
            metric: The score to choose by.

        Returns:
            `k1` and `b`; empty without `tune`.

        Raises:
            UsageError: The searcher has no base, or as `evaluate`.
        """
        if not self.tune:
            return {}
        ids, texts = self._given()
        self._tokens = self._tokens or tokenize(texts, self.settings)
        names, asked = [query.id for query in queries], [query.text for query in queries]
        best, _ = tune_bm25(ids, self._tokens, names, asked, qrels, self.settings, metric)
        return {"k1": best.k1, "b": best.b}

    def take(self, fitted: Mapping[str, Any]) -> None:
        """Use the k1 and b that were chosen before.

        Args:
            fitted: From `fit`.
        """
        settings = replace(self.settings, **{key: fitted[key] for key in ("k1", "b") if key in fitted})
        if settings != self.settings:
            self.settings, self._index = settings, None

    def search(self, queries: Sequence[Query], k: int) -> Run:
        """Rank passages.

        Args:
            queries: What is asked; for one without text nothing is found.
            k: Passages of each ranking, at most.

        Raises:
            UsageError: The searcher has no base, or `k` is below 1.
        """
        return self.index.run([query.id for query in queries], [query.text for query in queries], k)

    @property
    def index(self) -> BM25Index:
        """The index: of this process, of the folder of indexes, or built and kept there."""
        if self._index is None:
            self._index = self._kept() or self._built()
            self._tokens = None
        return self._index

    def _given(self) -> tuple[Sequence[str], Sequence[str]]:
        """The ids and texts of the passages, made when they are asked for."""
        if self._base is None:
            raise UsageError("the searcher bm25 has no knowledge base yet; call prepare(base, context) first")
        return self._base.ids, self._base.titled(self.context.section.title_separator)

    def _folder(self) -> Path | None:
        """Where an index with these settings is kept."""
        name = hashlib.sha256(repr(self.settings).encode()).hexdigest()[:8]
        return None if self.context.folder is None else self.context.folder / f"bm25-{name}"

    def _kept(self) -> BM25Index | None:
        """The index in the folder, if it was made of this base with these settings."""
        folder = self._folder()
        if folder is None or not folder.exists():
            return None
        index = BM25Index.load(folder)
        same = index.settings == self.settings and index.fingerprint == fingerprint_of(*self._given())
        return index if same else None

    def _built(self) -> BM25Index:
        """A new index, kept in the folder by the first of several processes."""
        index, folder = BM25Index.build(*self._given(), self.settings, self._tokens), self._folder()
        if folder is not None and (self.context.processes is None or self.context.processes.is_main):
            index.save(folder)
        return index
