"""A sentence-transformers directory here and in sentence-transformers itself: vectors, rankings and scores.

    python benchmarks/sentence_transformers_parity.py --conf configs/retrieval/cranfield.json \\
        --set data.root=DIR --set model.path=MODEL

Both read the same directory, encode the same passages and questions of the test split, and rank by cosine: this project
by its searcher `dense`, the package by `encode` and `util.semantic_search`. Prints the largest differences and the
scores of both and, last, one JSON line; exit code 1 where vectors or similarities differ by more than 1e-5, or where
two passages stand in another order although their similarities differ by more than that.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from ofakit.config import load_config
from ofakit.data.search_files import read_corpus, read_queries
from ofakit.hub import load_retriever
from ofakit.retrieval import Qrels, Run
from ofakit.retrieval.evaluation import evaluate
from ofakit.retrieval.searchers.base import SearchContext
from ofakit.retrieval.searchers.dense import Dense

BOUND = 1e-5


def theirs(model: Any, config: Any, base: Sequence[Any], queries: Sequence[Any]) -> tuple[Run, np.ndarray]:
    """The run of sentence-transformers, and its vectors of the passages."""
    from sentence_transformers import util

    separator = config.retrieval.title_separator
    passages = model.encode([passage.titled(separator) for passage in base], show_progress_bar=False)
    asked = model.encode([query.text for query in queries], show_progress_bar=False)
    hits = util.semantic_search(asked, passages, top_k=config.retrieval.depth)
    found = zip(queries, hits, strict=True)
    return Run({q.id: {base[hit["corpus_id"]].id: hit["score"] for hit in own} for q, own in found}), passages


def ours(bundle: Any, config: Any, base: Any, queries: Sequence[Any]) -> tuple[Run, np.ndarray]:
    """Likewise of this project."""
    searcher = Dense(metric="cosine")
    bundle.retrieval = config.retrieval
    searcher.prepare(base, SearchContext(config.retrieval, bundle))
    return searcher.search(queries, config.retrieval.depth), searcher.index.vectors


def out_of_order(one: Run, other: Run) -> float:
    """The largest gap, by the scores of one run, between two passages that the other has the other way round."""
    worst = 0.0
    for query in one:
        scores = one[query]
        in_order = np.array([scores[passage] for passage in other.ranking(query) if passage in scores])
        if len(in_order):
            worst = max(worst, float((in_order - np.minimum.accumulate(in_order)).max()))
    return worst


def main() -> int:
    """Run both, print what differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--conf", required=True)
    parser.add_argument("--set", action="append", default=[], dest="overrides", metavar="KEY=VALUE")
    args = parser.parse_args()
    from sentence_transformers import SentenceTransformer

    config = load_config(args.conf, args.overrides)
    base, queries = read_corpus(config), read_queries(config)
    runs, vectors, seconds = {}, {}, {}
    for name, function, model in (
        ("ofakit", ours, load_retriever(config.model.path)),
        ("sentence_transformers", theirs, SentenceTransformer(config.model.path, device="cpu")),
    ):
        started = time.process_time()
        runs[name], vectors[name] = function(model, config, base, queries)
        seconds[name] = round(time.process_time() - started, 1)
    one, other = runs.values()
    shared = [(q, p) for q in one for p in one[q] if p in other[q]]
    differences = {
        "vectors": float(np.abs(vectors["ofakit"] - vectors["sentence_transformers"]).max()),
        "similarities": max(abs(one[q][p] - other[q][p]) for q, p in shared),
        "order": max(out_of_order(one, other), out_of_order(other, one)),
    }
    qrels = Qrels.of(queries)
    scores = {name: evaluate(run, qrels, config.retrieval.metrics) for name, run in runs.items()}
    for name, values in scores.items():
        print(f"{name:22}", "  ".join(f"{key} {value:.6f}" for key, value in values.items()), file=sys.stderr)
    found = {"differences": differences, "same_passages": len(shared) / sum(map(len, map(one.ranking, one)))}
    print(json.dumps({**found, "cpu_seconds": seconds, **scores}))
    return int(max(differences.values()) > BOUND)


if __name__ == "__main__":
    sys.exit(main())
