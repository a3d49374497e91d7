"""`tools/search.py`: search a knowledge base with every searcher of a configuration, and score the rankings."""

from __future__ import annotations

import argparse
import logging
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ofakit.cli._common import (
    add_config_arguments,
    add_device_argument,
    files_read,
    output_file,
    retriever_of,
    run_tool,
    tool_parser,
)
from ofakit.errors import UsageError

if TYPE_CHECKING:
    from ofakit.config import ExperimentConfig
    from ofakit.data.passage_base import PassageBase
    from ofakit.hub import RetrievalBundle
    from ofakit.retrieval.run import Run

__all__ = ["main"]

logger = logging.getLogger(__name__)

EXAMPLES = """examples:
  python tools/search.py --conf configs/retrieval/bm25.json --set corpus=corpus.jsonl --set queries=queries.jsonl \\
      --set qrels=qrels.trec --set run=bm25.trec
  python tools/search.py --conf work_dir/run/conf.json --split test --set run=fused.trec
  python tools/search.py --conf work_dir/run/conf.json --set queries=questions.jsonl --set run=out.trec --runs runs

Corpus and queries are JSON lines with id and text. The last line of stdout is one JSON object: the scores of the
fused run, or of the only run, and those of each searcher under its name; without qrels, a summary of the search."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the tool.

    Args:
        argv: The arguments; None takes those of the process.

    Returns:
        The exit code.
    """
    parser = tool_parser("Search a knowledge base of passages.", EXAMPLES)
    add_config_arguments(parser)
    parser.add_argument("--checkpoint", metavar="DIR", help="retriever; default: the run's best/, or output/")
    parser.add_argument(
        "--split",
        choices=("train", "val", "test"),
        default="test",
        help="split whose questions are searched, if no queries are set",
    )
    parser.add_argument("--runs", metavar="DIR", help="also write each searcher's run to DIR/<searcher>.trec")
    add_device_argument(parser)
    return run_tool(parser, run, argv)


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Search.

    Args:
        args: The parsed arguments.

    Returns:
        The result for the last line of stdout.
    """
    from pathlib import Path

    from ofakit.config import load_config
    from ofakit.data.search_files import read_corpus, read_queries
    from ofakit.processes import join_processes
    from ofakit.retrieval.search_system import SearchSystem
    from ofakit.retrieval.searchers.base import SearchContext

    config = load_config(args.conf, args.overrides)
    target = None if config.run is None else output_file(config.run, "run", files_read(args, config))
    if args.runs is not None:
        for name in config.retrieval.searchers:
            output_file(str(Path(args.runs) / f"{name}.trec"), "--runs", files_read(args, config, besides="--runs"))
    bundle = _bundle(config, args.checkpoint)
    fitted = {} if bundle is None else bundle.fitted
    system = SearchSystem(config.retrieval, fitted, config.naming_the_file)
    if system.needs_fitting:
        raise UsageError(
            "retrieval.fusion.weights: fusing the runs needs weights; train and evaluate "
            'first, which fits them on val, or set them, as in {"bm25": 0.5, "dense": 0.5}'
        )
    base, queries = read_corpus(config, args.split), read_queries(config, args.split)
    section = config.evaluation
    context = SearchContext(
        bundle=bundle, processes=join_processes(args.device),
        batch_size=section.dataloader.batch_size_per_gpu, precision=section.precision,
    )  # fmt: skip
    started = time.perf_counter()
    system.prepare(base, context)
    runs = system.rank(queries)
    seconds = time.perf_counter() - started
    if target is not None:
        runs[system.main].write(target)
    if args.runs is not None:
        for name, found in runs.items():
            found.write(Path(args.runs) / f"{name}.trec")
    about = {"passages": len(base), "queries": len(queries), "run": config.run, "seconds": round(seconds, 2)}
    return {**_scores(config, runs, system.main, queries, base), **about}


def _bundle(config: ExperimentConfig, checkpoint: str | None) -> RetrievalBundle | None:
    """The retriever, if a searcher needs one."""
    specs = [component.model_dump() for component in config.retrieval.searchers.values()]
    if checkpoint is None and not any(spec["type"] == "dense" and not spec.get("encoder") for spec in specs):
        return None
    return retriever_of(config, checkpoint)


def _scores(
    config: ExperimentConfig, runs: dict[str, Run], main_run: str, queries: Sequence[Any], base: PassageBase
) -> dict[str, Any]:
    """The scores of every run, where it is known what answers the queries."""
    from ofakit.retrieval.evaluation import score_run
    from ofakit.retrieval.judging import judged

    pooled = config.retrieval.relevance == "pooled"
    if config.qrels is None and not any(query.relevant or (pooled and query.answers) for query in queries):
        return {}
    _report_unknown(queries, base)
    scored, qrels = judged(runs, queries, base, config.retrieval)
    found = {name: score_run(own, qrels, config.retrieval.metrics) for name, own in scored.items()}
    others = {name: own.means for name, own in found.items()} if len(found) > 1 else {}
    return {**found[main_run].means, "without_relevant": len(found[main_run].without_relevant), **others}


def _report_unknown(queries: Sequence[Any], base: PassageBase) -> None:
    """Warn of judgements that speak of another base."""
    judged = {passage for query in queries for passage in query.relevant_ids}
    unknown = sorted(passage for passage in judged if passage not in base)
    if unknown:
        logger.warning(
            "%d of %d relevant passages are not in the knowledge base, such as %s; they count as not found",
            len(unknown), len(judged), ", ".join(map(repr, unknown[:3])),
        )  # fmt: skip
