"""Search index directories by a text, an image or both, and give the passages themselves.

indexes, bases = {"base.index": load_index("base.index")}, {"base.index": KnowledgeBase(passages)}
search = PassageSearch(load_retriever("work_dir/run/best"), indexes, bases)
search.ways("base.index")                                              # [("text",), ("image",)]
search.search([Query("q", text="a lighthouse")], "base.index", ("text",), 5)   # [[Hit(passage, score), …]]
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from ofakit.data.passage import Passage
from ofakit.data.passage_base import PassageBase
from ofakit.data.query import Query
from ofakit.errors import UsageError
from ofakit.hub.retrieval_bundle import RetrievalBundle
from ofakit.inference.embedder import Embedder
from ofakit.retrieval.index_directory import IndexDirectory

__all__ = ["Hit", "PassageSearch"]

WAYS: tuple[tuple[str, ...], ...] = (("text",), ("image",), ("text", "image"))


class Hit(NamedTuple):
    """A passage that was found.

    Attributes:
        passage: The passage.
        score: How near it is; higher is nearer.
    """

    passage: Passage
    score: float


class PassageSearch:
    """A retriever with index directories that it has encoded, and the passages in them.

    Args:
        bundle: The retriever.
        indexes: By the name that they are chosen by.
        bases: The passages of each index, by its name.
        device: Where queries are encoded; None takes a GPU where there is one.
        precision: "fp32", "bf16" or "fp16".

    Raises:
        UsageError: An index is of another encoder, has a passage that its base has not, or can be searched in no way.
    """

    def __init__(
        self,
        bundle: RetrievalBundle,
        indexes: Mapping[str, IndexDirectory],
        bases: Mapping[str, PassageBase],
        device: str | None = None,
        precision: str = "fp32",
    ) -> None:
        self.bases = dict(bases)
        self.indexes = dict(indexes)
        reads = bundle.model.encoder("query").reads
        self.embedders = {
            way: Embedder(bundle, "query", way, device, precision) for way in WAYS if set(way) <= set(reads)
        }
        for name, index in self.indexes.items():
            _check_encoder(bundle, index, device)
            _check_passages(index, self.bases[name])
            if not self.ways(name):
                raise UsageError(
                    f"the index in {index.folder} has vectors of {index.dimension} numbers, but queries of this "
                    f"retriever have: {', '.join(str(one.dimension) for one in self.embedders.values())}"
                )

    def ways(self, index: str) -> list[tuple[str, ...]]:
        """What an index can be searched by.

        Args:
            index: Its name.

        Returns:
            Some of ("text",), ("image",) and ("text", "image").
        """
        wanted = self.indexes[index].dimension
        return [way for way, embedder in self.embedders.items() if embedder.dimension == wanted]

    @property
    def image_size(self) -> int | None:
        """Pixels a side of a query's image; None where no query has one."""
        sizes = [one.image_size for way, one in self.embedders.items() if "image" in way]
        return sizes[0] if sizes else None

    def search(self, queries: Sequence[Query], index: str, modalities: tuple[str, ...], k: int) -> list[list[Hit]]:
        """Find passages.

        Args:
            queries: What is asked, at least one; each has all that `modalities` names.
            index: The name of an index.
            modalities: One of its ways.
            k: Passages of a query, at most.

        Returns:
            For each query its passages, nearest first.
        """
        vectors = self.embedders[modalities].embed(queries)
        scores, ids = self.indexes[index].search(vectors, k)
        return [_hits(self.bases[index], own, values) for own, values in zip(ids, scores, strict=True)]


def _hits(base: PassageBase, ids: np.ndarray, scores: np.ndarray) -> list[Hit]:
    """The passages of a ranking."""
    found = zip(ids.tolist(), scores.tolist(), strict=True)
    return [Hit(base[base.position(name)], score) for name, score in found if score > float("-inf")]


def _check_encoder(bundle: RetrievalBundle, index: IndexDirectory, device: str | None) -> None:
    """Refuse an index that another encoder made."""
    made = index.record.encoder
    embedder = Embedder(bundle, made.get("side", "passage"), made.get("modalities"), device)
    same = index.fingerprint == embedder.fingerprint
    index.expect(embedder.fingerprint, encoder=None if same else embedder.description)


def _check_passages(index: IndexDirectory, base: PassageBase) -> None:
    """Refuse a base that lacks what the index would find."""
    missing = next((name for name in index.ids if name not in base), None)
    if missing is not None:
        raise UsageError(
            f"the index in {index.folder} contains the passage {missing!r}, which is not among the {len(base)} "
            "passages searched; pass the file that was encoded: --passages FILE"
        )
