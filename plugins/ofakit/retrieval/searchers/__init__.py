"""What searches a base, one file each: BM25, or the vectors of a retriever.

from ofakit.retrieval.searchers import SEARCHERS
searcher = SEARCHERS.build({"type": "bm25", "k1": 0.9, "b": 0.4})

A member is an `ofakit.retrieval.searchers.base.Searcher`; a configuration names several under `retrieval.searchers`.
"""

from __future__ import annotations

from ofakit.registry import Registry

__all__ = ["SEARCHERS"]

SEARCHERS = Registry("searcher", __name__)
