"""Which states of VL-BART make the vector of a retriever: the same training with each, several seeds, tested by query.

    python benchmarks/vl_strategies.py --conf configs/vl/photo_kb.json --out OUT --seeds 7 8 9 \\
        --set data.root=DIR --set data.regions.network.weights=FILE

Prints a Markdown table of the test split. A query's score is the mean over the seeds; letters mark which strategies
each one beats in Fisher's randomization test over queries, and the column `seeds` has the scores of the single runs.
Each run is one process with one thread; one whose `result.json` is there is not run again.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from ofakit.cli._comparison import compared
from ofakit.cli._tables import markdown_table
from ofakit.config import load_config
from ofakit.data.search_files import read_queries
from ofakit.retrieval.evaluation import score_run
from ofakit.retrieval.qrels import Qrels
from ofakit.retrieval.run import Run
from ofakit.scores.score import mean_of
from trainings import ended

STRATEGIES = {
    "first token": {"pooling": "first"},
    "mean": {"pooling": "mean"},
    "sum of the last two layers, mean": {"pooling": "sum", "layers": 2},
    "last two layers side by side, mean": {"pooling": "concat", "layers": 2},
    "decoder's start token": {"pooling": "decoder_start"},
}
ENCODER = "model.config.encoder"


def folder(out: Path, strategy: str, seed: int) -> Path:
    """Where a run writes."""
    return out / f"{'_'.join(str(value) for value in STRATEGIES[strategy].values())}_{seed}"


def per_query(run: Path, metrics: list[str]) -> dict[str, np.ndarray]:
    """The scores of the queries of the test split."""
    qrels = Qrels.of(read_queries(load_config(run / "conf.json"), "test"))
    return dict(score_run(Run.read(run / "eval" / "test.run.trec"), qrels, metrics).per_query)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--conf", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="folder for the runs")
    parser.add_argument("--seeds", type=int, nargs="+", default=[7, 8, 9])
    parser.add_argument("--strategies", nargs="+", choices=STRATEGIES, default=list(STRATEGIES))
    parser.add_argument("--metrics", nargs="+", help="default: those of the configuration")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="of every run (repeatable)")
    options = parser.parse_args()
    metrics = options.metrics or list(load_config(options.conf).retrieval.metrics)
    # One seed of all strategies first: what was done when it is cut short can be compared.
    for seed in options.seeds:
        for strategy in options.strategies:
            keys = {"seed": seed, **{f"{ENCODER}.{key}": value for key, value in STRATEGIES[strategy].items()}}
            ended(["finetune.py"], options.conf, folder(options.out, strategy, seed), keys, options.set)
    measures, single = [], []
    for strategy in options.strategies:
        runs = [per_query(folder(options.out, strategy, seed), metrics) for seed in options.seeds]
        measures.append({name: mean_of(np.mean([run[name] for run in runs], axis=0)) for name in metrics})
        single.append(", ".join(f"{100 * run[metrics[0]].mean():.1f}" for run in runs))
    result = compared([Path(name) for name in options.strategies], measures, 10_000, 1000, 0)
    print(markdown_table({**result, "queries": len(next(iter(measures[0].values())).statistics)}))
    for strategy, scores in zip(options.strategies, single, strict=True):
        print(f"{strategy}: {metrics[0]} of seeds {', '.join(map(str, options.seeds))}: {scores}")


if __name__ == "__main__":
    main()
