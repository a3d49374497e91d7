"""The golden rankings: BM25 runs of Cranfield and CISI, what ranx makes of them, and how ties may stand.

ranx sorts with an unstable sort, so that passages with equal scores stand in its rankings in any order. A golden number
is therefore right if it lies between those of the two extreme orders: the best passages first among equals, or last.
"""

from __future__ import annotations

import json
from pathlib import Path

from ofakit.retrieval.qrels import Qrels
from ofakit.retrieval.run import Run
from ofakit.scores.ranking import judge, ranking_scores

COLLECTIONS = ("cranfield_val", "cranfield_test", "cisi_test")


def golden(shared: Path) -> dict:
    """What ranx gives, by collection."""
    return json.loads((shared / "golden" / "retrieval" / "ranx_bm25s.json").read_text())


def qrels_file(shared: Path, collection: str) -> Path:
    corpus, split = collection.split("_")
    return shared / "data" / "ir" / corpus / f"qrels_{split}.trec"


def run_file(shared: Path, collection: str, which: str) -> Path:
    return shared / "golden" / "retrieval" / f"bm25s_{collection}_{which}.trec"


def qrels_of(shared: Path, collection: str) -> Qrels:
    return Qrels.read(qrels_file(shared, collection))


def runs_of(shared: Path, collection: str) -> dict[str, Run]:
    return {which: Run.read(run_file(shared, collection, which), which) for which in "ab"}


def texts(path: Path) -> dict[str, str]:
    """The texts of a JSONL file by id."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return {row["id"]: row["text"] for row in rows}


def extremes(run: Run, qrels: Qrels, names: list[str], digits: int = 9) -> tuple[dict, dict]:
    """The scores of each query if the worst, or the best, of passages with equal scores came first."""
    found = []
    for sign in (1, -1):
        rankings = [
            sorted(run[query], key=lambda p: (-round(run[query][p], digits), sign * qrels[query].get(p, 0.5)))  # noqa: B023
            for query in qrels
        ]
        found.append(ranking_scores(judge(rankings, list(qrels.values())), names))
    return found[0], found[1]
