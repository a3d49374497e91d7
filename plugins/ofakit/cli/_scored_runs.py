"""Runs in files, scored against qrels in files: what `tools/compare.py` and `tools/evaluate.py` do with rankings."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ofakit.errors import UsageError

if TYPE_CHECKING:
    from ofakit.retrieval.evaluation import RunScores
    from ofakit.retrieval.qrels import Qrels

__all__ = ["add_run_arguments", "read_qrels", "score_files"]

_METRICS = ("map", "mrr@100", "p@1", "p@20", "hit@20", "ndcg@10")


def add_run_arguments(parser: argparse._ActionsContainer) -> None:
    """Add what says which runs are scored, against what, and how.

    Args:
        parser: Gets the arguments; a parser or a group of one.
    """
    parser.add_argument(
        "--run", nargs="+", action="extend", default=[], metavar="FILE", dest="runs", help="TREC run (repeatable)"
    )
    parser.add_argument(
        "--qrels", nargs="+", action="extend", default=[], metavar="FILE",
        help="TREC qrels; the union is taken of several files, such as one per pooled run",
    )  # fmt: skip
    parser.add_argument(
        "--metric", nargs="+", action="extend", default=[], metavar="NAME", dest="metrics",
        help=f"metric, such as mrr@100 (repeatable; default: {', '.join(_METRICS)})",
    )  # fmt: skip
    parser.add_argument(
        "--pooled",
        action="store_true",
        help="the qrels were pooled from retrieved passages, which rules out MAP and recall",
    )
    parser.add_argument(
        "--leave-out-unjudged",
        action="store_true",
        help="leave out queries that are not in the qrels; default: an error",
    )


def read_qrels(args: argparse.Namespace) -> Qrels:
    """The qrels that arguments name.

    Args:
        args: With those of `add_run_arguments`.

    Raises:
        UsageError: None is named, or a file cannot be read.
    """
    from ofakit.retrieval.qrels import Qrels

    if not args.qrels:
        raise UsageError("--run needs --qrels FILE")
    first, *others = (Qrels.read(path, "pooled" if args.pooled else "provenance") for path in args.qrels)
    return first.union(*others) if others else first


def score_files(files: Sequence[Path], qrels: Qrels, args: argparse.Namespace) -> list[RunScores]:
    """Score runs, and say on stderr what a reader of the scores has to know.

    Args:
        files: TREC runs.
        qrels: What they are scored against.
        args: With those of `add_run_arguments`.

    Raises:
        UsageError: There is no such score, or a file cannot be read or is of other queries.
    """
    from ofakit.retrieval.evaluation import check_metrics, score_run
    from ofakit.retrieval.run import Run
    from ofakit.scores.ranking import parse_score

    usable = [name for name in _METRICS if qrels.mode == "provenance" or not parse_score(name).needs_all_relevant]
    metrics = args.metrics or usable
    check_metrics(metrics, qrels)
    found = []
    for file in files:
        run = Run.read(file, name=str(file))
        scores = score_run(run, qrels, metrics, "leave_out" if args.leave_out_unjudged else "refuse")
        for remark in scores.remarks():
            print(f"{file}: {remark}", file=sys.stderr)
        found.append(scores)
    return found
