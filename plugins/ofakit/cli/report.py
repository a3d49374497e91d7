"""`tools/report.py`: write one HTML file about a run, or a comparison of several runs."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from ofakit.cli._common import output_file, positive, run_tool, tool_parser

__all__ = ["main", "run"]

EXAMPLES = """examples:
  python tools/report.py work_dir/quickstart --out report.html
  python tools/report.py work_dir/base work_dir/scst --out comparison.html

The file is self-contained, opens offline, and runs nothing that came from the data. Several runs give a comparison with
a significance test. docs/reports.md describes the sections."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the tool.

    Args:
        argv: The arguments; None takes those of the process.

    Returns:
        The exit code.
    """
    parser = tool_parser("Write a report of a run, or a comparison of several, as one HTML file.", EXAMPLES)
    parser.add_argument("runs", nargs="+", metavar="RUN", help="run directory (work_dir of the configuration)")
    parser.add_argument("--out", required=True, metavar="FILE", help="HTML file to write")
    parser.add_argument("--split", metavar="NAME", help="evaluation to show; default: the run's last")
    parser.add_argument(
        "--images", type=positive, default=60, metavar="N", help="most images or questions to show; default: 60"
    )
    parser.add_argument(
        "--without-base",
        action="store_true",
        help="retrieval: show only the ids of passages, without reading the knowledge base",
    )
    return run_tool(parser, run, argv)


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Write the file.

    Args:
        args: The parsed arguments.

    Returns:
        `report`, the file, `runs`, and `bytes`, how large it is.

    Raises:
        UsageError: A run cannot be read, runs cannot be compared, or the file cannot be written where it is asked for.
    """
    from ofakit.files import encoded, write_text
    from ofakit.reports import comparison_report, read_run, run_report

    target = output_file(args.out, "--out")
    runs = [read_run(folder) for folder in args.runs]
    base = not args.without_base
    if len(runs) == 1:
        text = run_report(runs[0], args.images, args.split, base)
    else:
        text = comparison_report(runs, args.images, args.split, base)
    write_text(target, text)
    return {"report": str(target), "runs": [str(one.folder) for one in runs], "bytes": len(encoded(text))}
