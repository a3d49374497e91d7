"""Passages, indexes, searchers, runs, fusion and mining: from a trained encoder to a ranking.

from ofakit.retrieval import load_index
scores, ids = load_index("work_dir/base.index").search(vectors, k=100)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ofakit.lazy import exports

if TYPE_CHECKING:
    from ofakit.retrieval.encoding import Embedder, Encoded, encode
    from ofakit.retrieval.index_building import append_vectors, build_engine, merge_indexes, write_index
    from ofakit.retrieval.index_directory import IndexDirectory, load_index
    from ofakit.retrieval.indexes import INDEXES
    from ofakit.retrieval.passage_file import PassageFile

__all__ = [
    "INDEXES",
    "Embedder",
    "Encoded",
    "IndexDirectory",
    "PassageFile",
    "append_vectors",
    "build_engine",
    "encode",
    "load_index",
    "merge_indexes",
    "write_index",
]

__getattr__ = exports(
    __name__,
    {
        "ofakit.retrieval.encoding": ["Embedder", "Encoded", "encode"],
        "ofakit.retrieval.index_building": ["append_vectors", "build_engine", "merge_indexes", "write_index"],
        "ofakit.retrieval.index_directory": ["IndexDirectory", "load_index"],
        "ofakit.retrieval.indexes": ["INDEXES"],
        "ofakit.retrieval.passage_file": ["PassageFile"],
    },
)
