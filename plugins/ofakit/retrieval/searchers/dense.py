"""Search by vectors: of passages, or of articles whose passages follow.

    {"type": "dense"}                                                     all that the retriever reads
    {"type": "dense", "query": ["text"], "passage": ["text"]}
    {"type": "dense", "query": ["image"], "passage": ["image"], "unit": "article"}
    {"type": "dense", "encoder": "DIR_OR_HUB_ID", "metric": "cosine"}     another retriever than the experiment's

With `unit` article each article has one vector, of the first of its passages that has what is searched by, and a hit
becomes its passages in order. A query without text or image is not searched for by it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from ofakit.data.knowledge_base import KnowledgeBase
from ofakit.data.query import Query
from ofakit.errors import UsageError
from ofakit.hub.retriever_directory import load_retriever
from ofakit.inference.embedder import Embedder
from ofakit.retrieval.articles import expand_articles, representatives
from ofakit.retrieval.run import Run
from ofakit.retrieval.searchers.base import SearchContext, Searcher
from ofakit.retrieval.vector_search import VectorSearch, embed_all

__all__ = ["Dense"]


class Dense(Searcher):
    """Ranks by the similarity of vectors.

    Args:
        query: What a query's vector is of, of `text` and `image`; None: all that its encoder reads.
        passage: Likewise, of a passage.
        unit: What has a vector: each `passage`, or each `article`.
        encoder: A retriever of its own, by directory or hub id; None: the experiment's.
        metric: Inner product, cosine, or negated squared distance; None: as `retrieval.index` has it.

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
    ) -> None:
        self.asked: dict[str, list | None] = {"query": query, "passage": passage}
        self.unit = unit
        self.metric = metric
        self.bundle = None if encoder is None else load_retriever(encoder)
        self.learns = encoder is None  # type: ignore[misc]
        self.base: KnowledgeBase
        self.units: list[str] = []
        self.index: VectorSearch
        self.queries: Embedder
        self.encoded: tuple[KnowledgeBase, str] | None = None
        self.context = SearchContext()

    def prepare(self, base: KnowledgeBase, context: SearchContext) -> None:
        """Encode a base, unless it is encoded already with the same weights.

        Args:
            base: The passages.
            context: With a `bundle`, unless the searcher has an encoder of its own.

        Raises:
            UsageError: There is no retriever, it cannot read what is asked for, nothing in the base has it, or the
                sides' vectors differ in width.
        """
        bundle = self.bundle or context.bundle
        if bundle is None:
            raise UsageError("a dense searcher needs a retriever: give it an encoder, or train one", "encoder")
        device = None if context.processes is None else str(context.processes.device)
        self.queries, passages = (
            Embedder(bundle, side, self.asked[side], device, context.precision) for side in ("query", "passage")
        )
        if self.queries.dimension != passages.dimension:
            raise UsageError(
                f"expected vectors of one width for queries of {' and '.join(self.queries.modalities)} and passages of "
                f"{' and '.join(passages.modalities)}, found {self.queries.dimension} and {passages.dimension}"
            )
        self.context = context
        if self.encoded == (base, passages.fingerprint):
            return
        self.base, self.encoded = base, None
        self.units, items = representatives(base, passages.modalities) if self.unit == "article" else _all(base)
        if not items:
            raise UsageError(f"no passage of the base has {' and '.join(passages.modalities)} to search by", "passage")
        embedded = embed_all(passages, items, context)
        self.places = embedded.places
        self.index = VectorSearch(embedded.vectors, self.metric or context.section.index.metric)
        self.encoded = (base, passages.fingerprint)

    def search(self, queries: Sequence[Query], k: int) -> Run:
        """Rank passages.

        Args:
            queries: What is asked.
            k: Passages of each ranking, at most.
        """
        asking = [row for row, query in enumerate(queries) if _can_ask(query, self.queries.modalities)]
        asked = embed_all(self.queries, [queries[row] for row in asking], self.context)
        scores, rows = self.index.search(asked.vectors, k)
        places = self.places[rows]
        if self.unit == "article":
            found = [
                expand_articles(self.base, [self.units[place] for place in own], values, k)
                for own, values in zip(places, scores, strict=True)
            ]
        else:
            found = list(zip(places, scores, strict=True))
        owners = np.repeat(np.array(asking, np.int64)[asked.places], [len(own) for own, _ in found])
        ids = [passage.id for passage in self.base]
        where = np.concatenate([own for own, _ in found] or [np.zeros(0, np.int64)])
        values = np.concatenate([own for _, own in found] or [np.zeros(0)])
        return Run.from_rows([query.id for query in queries], owners, ids, where, values)


def _all(base: KnowledgeBase) -> tuple[list[str], list]:
    return [], list(base)


def _can_ask(query: Query, modalities: Sequence[str]) -> bool:
    """Whether a query has any of what its vector is of."""
    return ("text" in modalities and bool(query.text)) or ("image" in modalities and query.image is not None)
