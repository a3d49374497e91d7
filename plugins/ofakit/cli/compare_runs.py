"""Compare rankings of several systems for the same queries."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ofakit.cli._comparison import compared, require_systems, short_names
from ofakit.cli._scored_runs import read_qrels, score_files

__all__ = ["compare_runs"]


def compare_runs(args: argparse.Namespace) -> dict[str, Any]:
    """Score runs on the queries of the qrels and test every pair of them.

    Args:
        args: The parsed arguments of `tools/compare.py`.

    Returns:
        `systems`: for each its `name`, `file`, `scores` and `intervals`. `tests`: for each pair `first` and `second`
        (names) and, for each score, `difference` (second - first) and `p`. `p`: the same p by "first vs second".
        `queries`, how many, and `remarks` by system.

    Raises:
        UsageError: There are fewer than two files, one is given twice or cannot be read, or is of other queries.
    """
    files = [Path(name) for name in args.runs]
    require_systems(files, "run")
    qrels = read_qrels(args)
    scored = score_files(files, qrels, args)
    result = compared(files, [scores.measures() for scores in scored], args.rounds, args.bootstrap, args.seed)
    remarks = {name: scores.remarks() for name, scores in zip(short_names(files), scored, strict=True)}
    return {**result, "queries": len(qrels), "remarks": remarks}
