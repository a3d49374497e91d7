"""Search by vectors: of passages, or of articles whose passages follow.

    {"type": "dense"}                                                     all that the retriever reads
    {"type": "dense", "query": ["text"], "passage": ["text"]}
    {"type": "dense", "query": ["image"], "passage": ["image"], "unit": "article"}
    {"type": "dense", "encoder": "DIR_OR_HUB_ID", "metric": "cosine"}     another retriever than the experiment's
    {"type": "dense", "index": "base.index"}                              passages that `ofakit encode` has encoded

Vectors are searched exactly and in memory, or through the engine that `retrieval.index` names. With `unit` article each
article has one vector, of the first of its passages that has what is searched by, and a hit becomes its passages in
order. A query without text or image is not searched for by it.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Literal

import numpy as np

from ofakit.data.passage_base import Chosen, PassageBase
from ofakit.data.query import Query
from ofakit.errors import UsageError
from ofakit.hub.retriever_directory import load_retriever
from ofakit.inference.embedder import Embedder
from ofakit.retrieval.articles import expand_articles, representatives
from ofakit.retrieval.index_directory import load_index
from ofakit.retrieval.item_content import has_content
from ofakit.retrieval.run import Run
from ofakit.retrieval.searchers.base import SearchContext, Searcher
from ofakit.retrieval.vector_search import IndexedVectors, VectorSearch, embed_all, search_of

__all__ = ["Dense"]

logger = logging.getLogger(__name__)


class Dense(Searcher):
    """Ranks by the similarity of vectors.

    Args:
        query: What a query's vector is of, of `text` and `image`; None: all that its encoder reads.
        passage: Likewise, of a passage.
        unit: What has a vector: each `passage`, or each `article`.
        encoder: A retriever of its own, by directory or hub id; None: the experiment's.
        metric: Inner product, cosine, or negated squared distance; None: as `retrieval.index` has it.
        index: A directory of encoded passages; None: they are encoded when a base is taken.

    Raises:
        UsageError: The encoder cannot be read.
    """

    def __init__(
        self,
        query: list[Literal["text", "image"]] | None = None,
        passage: list[Literal["text", "image"]] | None = None,
        unit: Literal["passage", "article"] = "passage",
        encoder: str | None = None,
        metric: Literal["ip", "cosine", "l2"] | None = None,
        index: str | None = None,
    ) -> None:
        self.asked: dict[str, list | None] = {"query": query, "passage": passage}
        self.unit = unit
        self.metric = metric
        self.directory = index
        self.bundle = None if encoder is None else load_retriever(encoder)
        self.learns = encoder is None  # type: ignore[misc]
        self.base: PassageBase
        self.names: Sequence[str] = ()
        self.places = np.zeros(0, np.int64)
        self.index: VectorSearch | IndexedVectors
        self.queries: Embedder
        self.encoded: tuple[PassageBase, str, str] | None = None
        self.context = SearchContext()

    def prepare(self, base: PassageBase, context: SearchContext) -> None:
        """Encode a base, unless it is encoded already with the same weights.

        Args:
            base: The passages.
            context: With a `bundle`, unless the searcher has an encoder of its own.

        Raises:
            UsageError: There is no retriever, it cannot read what is asked for, nothing in the base has it, or the
                sides' vectors differ in width.
        """
        bundle = self.bundle or context.bundle
        if self.bundle is not None:
            self.bundle.retrieval = self.bundle.retrieval.over(context.section)
        if bundle is None:
            raise UsageError("a dense searcher needs a retriever: set its encoder, or train one", "encoder")
        device = None if context.processes is None else str(context.processes.device)
        self.queries, passages = (
            Embedder(bundle, side, self.asked[side], device, context.precision) for side in ("query", "passage")
        )
        if self.queries.dimension != passages.dimension:
            raise UsageError(
                f"expected vectors of the same width for queries of {' and '.join(self.queries.modalities)} and "
                "passages of "
                f"{' and '.join(passages.modalities)}, found {self.queries.dimension} and {passages.dimension}"
            )
        self.context = context
        metric = self.metric or context.section.index.metric
        if self.encoded == (base, passages.fingerprint, metric):
            return
        self.base, self.encoded = base, None
        if self.directory is not None:
            index = load_index(self.directory)
            same = index.fingerprint == passages.fingerprint
            index.expect(passages.fingerprint, metric, None if same else passages.description)
            self.names, self.index = index.ids, IndexedVectors(index)
        else:
            places = _searchable(base, passages.modalities, self.unit)
            kept, self.index = search_of(passages, Chosen(base, places), context, metric)
            self.places = places[kept]
        self.encoded = (base, passages.fingerprint, metric)

    def search(self, queries: Sequence[Query], k: int) -> Run:
        """Rank passages.

        Args:
            queries: What is asked.
            k: Passages of each ranking, at most.
        """
        asking = [row for row, query in enumerate(queries) if has_content(query, self.queries.modalities)]
        asked = embed_all(self.queries, [queries[row] for row in asking], self.context)
        scores, rows = self.index.search(asked.vectors, k)
        found = [self._ranked(own[own >= 0], values[own >= 0], k) for own, values in zip(rows, scores, strict=True)]
        owners = np.repeat(np.array(asking, np.int64)[asked.places], [len(own) for own, _ in found])
        places, where = np.unique(
            np.concatenate([own for own, _ in found] or [np.zeros(0, np.int64)]), return_inverse=True
        )
        values = np.concatenate([own for _, own in found] or [np.zeros(0)])
        ids = [self.base[place].id for place in places.tolist()]
        return Run.from_rows([query.id for query in queries], owners, ids, where, values)

    def _ranked(self, rows: np.ndarray, scores: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Positions in the base and scores, from rows of the index: those found, or the passages of their articles."""
        places = self.places[rows] if self.directory is None else self._positions(rows)
        if self.unit == "passage":
            return places, scores
        best: dict[str, float] = {}
        for place, score in zip(places.tolist(), scores, strict=True):
            best.setdefault(self.base[place].article_id, float(score))
        return expand_articles(self.base, list(best), list(best.values()), k)

    def _positions(self, rows: np.ndarray) -> np.ndarray:
        """Positions in the base of rows of an index directory, which may have another order."""
        return np.array([self.base.position(self.names[row]) for row in rows.tolist()], np.int64)


def _searchable(base: PassageBase, modalities: Sequence[str], unit: str) -> np.ndarray:
    """Positions of the passages that get a vector."""
    read = " and ".join(modalities)
    if unit == "article":
        places = representatives(base, modalities)
    else:
        usable = np.fromiter((has_content(passage, modalities) for passage in base), bool, len(base))
        places = np.flatnonzero(usable)
        if 0 < len(places) < len(base):
            logger.warning(
                "%d of %d passages have no %s, such as %r; they are never found",
                len(base) - len(places), len(base), read, base[int(np.argmin(usable))].id,
            )  # fmt: skip
    if not len(places):
        raise UsageError(f"no passage of the knowledge base has {read} to search by", "passage")
    return places
