"""Score a TREC run of any system against qrels."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ofakit.cli._scored_runs import read_qrels, score_files
from ofakit.errors import UsageError

__all__ = ["evaluate_run"]


def evaluate_run(args: argparse.Namespace) -> dict[str, Any]:
    """Score one run.

    Args:
        args: The parsed arguments of `tools/evaluate.py`.

    Returns:
        The mean scores by name, `queries`, how many, `remarks`, and `intervals` by name where `--bootstrap` is above 0.

    Raises:
        UsageError: There is more than one run, a file cannot be read, or run and qrels are of other queries.
    """
    from ofakit.scores.uncertainty import bootstrap_intervals

    if len(args.runs) != 1:
        raise UsageError(f"--run: expected one file, found {len(args.runs)}; tools/compare.py compares several")
    if args.bootstrap < 0:
        raise UsageError(f"bootstrap: expected 0 or more resamples, found {args.bootstrap}")
    (scores,) = score_files([Path(args.runs[0])], read_qrels(args), args)
    result: dict[str, Any] = {**scores.means, "queries": len(scores.queries), "remarks": scores.remarks()}
    if args.bootstrap:
        intervals = bootstrap_intervals(scores.measures(), args.bootstrap)
        result["intervals"] = {name: list(interval) for name, interval in intervals.items()}
    return result
