"""Passages, indexes, searchers, runs, fusion and mining: from a trained encoder to a ranking.

from ofakit.retrieval import load_index
scores, ids = load_index("work_dir/base.index").search(vectors, k=100)

from ofakit.retrieval import Qrels, Run, evaluate
evaluate(Run.read("bm25.trec"), Qrels.read("qrels.trec"), ["mrr@100", "p@1"])
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ofakit.lazy import exports

if TYPE_CHECKING:
    from ofakit.retrieval.bm25_index import BM25Index
    from ofakit.retrieval.bm25_settings import BM25Settings
    from ofakit.retrieval.encoding import Embedder, Encoded, encode
    from ofakit.retrieval.evaluation import check_same_queries, evaluate, score_run
    from ofakit.retrieval.fusion import fuse
    from ofakit.retrieval.fusion_weights import fit_weights
    from ofakit.retrieval.index_building import append_vectors, build_engine, merge_indexes, write_index
    from ofakit.retrieval.index_directory import IndexDirectory, load_index
    from ofakit.retrieval.indexes import INDEXES
    from ofakit.retrieval.passage_file import PassageFile
    from ofakit.retrieval.qrels import Qrels
    from ofakit.retrieval.run import Run

__all__ = [
    "BM25Index",
    "BM25Settings",
    "Embedder",
    "Encoded",
    "INDEXES",
    "IndexDirectory",
    "PassageFile",
    "Qrels",
    "Run",
    "append_vectors",
    "build_engine",
    "check_same_queries",
    "encode",
    "evaluate",
    "fit_weights",
    "fuse",
    "load_index",
    "merge_indexes",
    "score_run",
    "write_index",
]

__getattr__ = exports(
    __name__,
    {
        "ofakit.retrieval.bm25_index": ["BM25Index"],
        "ofakit.retrieval.bm25_settings": ["BM25Settings"],
        "ofakit.retrieval.encoding": ["Embedder", "Encoded", "encode"],
        "ofakit.retrieval.evaluation": ["check_same_queries", "evaluate", "score_run"],
        "ofakit.retrieval.fusion": ["fuse"],
        "ofakit.retrieval.fusion_weights": ["fit_weights"],
        "ofakit.retrieval.index_building": ["append_vectors", "build_engine", "merge_indexes", "write_index"],
        "ofakit.retrieval.index_directory": ["IndexDirectory", "load_index"],
        "ofakit.retrieval.indexes": ["INDEXES"],
        "ofakit.retrieval.passage_file": ["PassageFile"],
        "ofakit.retrieval.qrels": ["Qrels"],
        "ofakit.retrieval.run": ["Run"],
    },
)
