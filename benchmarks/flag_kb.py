"""What each part of the flag experiment brings, and what it would bring if every flag were recognised.

    ofakit finetune --conf configs/retrieval/flag_kb.json --set data.root=DIR --set work_dir=RUN
    python benchmarks/flag_kb.py --run RUN [--run RUN …] [--split test]

For each run: MAP and MRR of BM25, text, image, both and fused with 95 % bootstrap intervals and Fisher's test against
the joined run, how often the flag itself is first or among the first five of all, and the ceiling: the passages of the
right country in the order that the text has for them. Several runs, of other seeds, give mean and spread as well.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ofakit.config import load_config
from ofakit.data.knowledge_base import KnowledgeBase
from ofakit.data.query import Query
from ofakit.data.search_files import read_corpus, read_queries
from ofakit.hub import load_retriever
from ofakit.retrieval.evaluation import score_run
from ofakit.retrieval.qrels import Qrels
from ofakit.retrieval.run import Run
from ofakit.retrieval.search_system import SearchSystem
from ofakit.retrieval.searchers.base import SearchContext
from ofakit.scores import bootstrap_intervals, paired_tests

METRICS = ["map", "mrr@100"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", action="append", required=True, metavar="DIR", help="run directory (repeatable)")
    parser.add_argument("--split", choices=("val", "test"), default="test")
    arguments = parser.parse_args()
    found = [measured(Path(folder), arguments.split) for folder in arguments.run]
    spread = {}
    for name in found[0]["map"]:
        values = [one["map"][name]["mean"] for one in found]
        spread[name] = {"mean": statistics.mean(values), "min": min(values), "max": max(values), "runs": len(values)}
    print(json.dumps({"runs": found, "map": spread}))


def measured(folder: Path, split: str) -> dict[str, Any]:
    """The scores of one run directory, by searcher."""
    config = load_config(folder / "conf.json")
    bundle = load_retriever(folder / "best")
    system = SearchSystem(config.retrieval, bundle.fitted)
    base, queries = read_corpus(config, split), read_queries(config, split)
    system.prepare(base, SearchContext(bundle=bundle))
    runs = system.rank(queries)
    text = system.searchers["text"].search(queries, len(base))
    runs["ceiling"] = of_right_country(text, base, queries).cut(config.retrieval.depth)
    qrels = Qrels.of(queries)
    measures = {name: score_run(run, qrels, METRICS).measures() for name, run in runs.items()}
    result: dict[str, Any] = {"run": folder.name, "flag": flag_found(runs["image"], base, queries)}
    for metric in METRICS:
        result[metric] = {
            name: {
                "mean": own[metric].corpus,
                "interval": list(bootstrap_intervals({metric: own[metric]})[metric]),
                "p_against_fused": paired_tests(own, measures["fused"])[metric].p,
            }
            for name, own in measures.items()
        }
    return result


def right_country(base: KnowledgeBase, query: Query) -> str:
    """The article of the passages that answer a query."""
    return base[base.position(query.relevant_ids[0])].article_id


def of_right_country(run: Run, base: KnowledgeBase, queries: Sequence[Query]) -> Run:
    """The rankings without passages of other countries."""
    kept: dict[str, Mapping[str, float]] = {}
    for query in queries:
        country = right_country(base, query)
        ranked = run[query.id].items()
        kept[query.id] = {own: score for own, score in ranked if base[base.position(own)].article_id == country}
    return Run(kept, name="ceiling")


def flag_found(run: Run, base: KnowledgeBase, queries: Sequence[Query]) -> dict[str, float]:
    """How often the right flag is first, or among five, of each photograph once."""
    photographs = {query.image_path: query for query in queries}
    ranks = []
    for query in photographs.values():
        countries = dict.fromkeys(base[base.position(own)].article_id for own in run.ranking(query.id))
        ranks.append(
            list(countries).index(right_country(base, query)) if right_country(base, query) in countries else 999
        )
    count = len(ranks)
    return {"r@1": sum(r < 1 for r in ranks) / count, "r@5": sum(r < 5 for r in ranks) / count, "photographs": count}


if __name__ == "__main__":
    main()
