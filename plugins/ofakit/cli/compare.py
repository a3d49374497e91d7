"""`tools/compare.py`: compare systems on captions or rankings: intervals, significance tests, tables for a paper."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from ofakit.cli._common import (
    add_clip_arguments,
    add_segmentation_argument,
    files_read,
    output_file,
    run_tool,
    share,
    tool_parser,
)
from ofakit.cli._scored_runs import add_run_arguments
from ofakit.cli._tables import latex_table, markdown_table
from ofakit.errors import UsageError

__all__ = ["add_arguments", "main", "run"]

OPENINGS = {"markdown": b"| | system |", "latex": rb"\begin{tabular}{ll"}
"""How a table begins, by which one that is replaced is known."""

EXAMPLES = """examples:
  python tools/compare.py a.json b.json --references annotations.json
  python tools/compare.py base.jsonl scst.jsonl --references test.jsonl --latex table.tex
  python tools/compare.py --qrels test.trec --run bm25.trec --run dense.trec --metric mrr@100 p@1

Predictions are COCO results JSON or JSONL with id and caption. Without --references, each line of the predictions must
contain its references. Tables of predictions come first on stdout, then one JSON object. Runs and qrels are in TREC's
formats; their table goes to stderr, and stdout is one JSON object."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the tool.

    Args:
        argv: The arguments; None takes those of the process.

    Returns:
        The exit code.
    """
    parser = tool_parser("Compare two or more systems by their captions of images or by their rankings.", EXAMPLES)
    add_arguments(parser)
    return run_tool(parser, run, argv)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what this tool takes.

    Args:
        parser: Gets the arguments.
    """
    captions = parser.add_argument_group("captions")
    captions.add_argument("predictions", nargs="*", metavar="FILE", help="two or more prediction files")
    captions.add_argument("--references", metavar="FILE", help="COCO annotations JSON or JSONL with id and captions")
    captions.add_argument(
        "--document-frequency", metavar="FILE", help="for CIDEr-D, from tools/data.py document-frequency"
    )
    add_segmentation_argument(captions)
    captions.add_argument("--no-java", action="store_true", help="leave out SPICE, which needs Java, and SPIDEr")
    add_clip_arguments(captions)
    captions.add_argument("--device", metavar="NAME", help="for --clip, cpu or gpu; default: a GPU if there is one")
    add_run_arguments(parser.add_argument_group("rankings"))
    parser.add_argument("--p", type=share, default=0.01, metavar="P", help="significance level (default: 0.01)")
    parser.add_argument("--rounds", type=int, default=10_000, metavar="N", help="random swaps (default: 10000)")
    parser.add_argument(
        "--bootstrap", type=int, default=1000, metavar="N", help="resamples for intervals (default: 1000)"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of swaps and resamples (default: 0)")
    parser.add_argument(
        "--markdown", "--out", metavar="FILE", dest="markdown", help="also write the Markdown table to this file"
    )
    parser.add_argument("--latex", metavar="FILE", help="also write the LaTeX table to this file")


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Compare, print the tables, and return the result.

    Args:
        args: The parsed arguments.

    Raises:
        UsageError: As `compare_files` and `compare_runs`, neither predictions nor runs are given or both are, or a
            table cannot be written where it is asked for.
    """
    from ofakit.files import write_text

    named = {"markdown": args.markdown, "latex": args.latex}
    targets = {
        kind: _table_file(name, kind, files_read(args, besides=kind))
        for kind, name in named.items()
        if name is not None
    }
    _check(args)
    result = _compare_runs(args) if args.runs else _compare_captions(args)
    tables = {"markdown": markdown_table(result, args.p), "latex": latex_table(result, args.p)}
    if args.runs:
        print(tables["markdown"], file=sys.stderr)
    else:
        print("".join(f"{table}\n\n" for table in tables.values()), end="")
    for kind, path in targets.items():
        write_text(path, f"{tables[kind]}\n")
    return {**result, **tables}


def _table_file(name: str, kind: str, inputs: Iterable[str | Path | None]) -> Path:
    """Where a table is to be written: a new file, or one with such a table, and none of those that are read."""
    path = output_file(name, f"--{kind}", inputs)
    if path.exists() and path.stat().st_size:
        with path.open("rb") as file:
            if file.read(len(OPENINGS[kind])) != OPENINGS[kind]:
                raise UsageError(
                    f"--{kind}: {name} already exists and is not a comparison table; choose another name, or remove it"
                )
    return path


def _check(args: argparse.Namespace) -> None:
    """Refuse arguments that do not go together."""
    if args.predictions and args.runs:
        raise UsageError("pass either prediction files or --run FILE --run FILE, not both")
    if not args.predictions and not args.runs:
        raise UsageError("pass two prediction files or more, or --qrels FILE --run FILE --run FILE")
    of_captions = {"--references": args.references, "--document-frequency": args.document_frequency}
    of_captions |= {"--no-java": args.no_java, "--clip": args.clip, "--images": args.images, "--device": args.device}
    of_runs = {"--qrels": args.qrels, "--metric": args.metrics, "--pooled": args.pooled}
    of_runs["--leave-out-unjudged"] = args.leave_out_unjudged
    for option, value in (of_captions if args.runs else of_runs).items():
        if value:
            raise UsageError(f"{option} only works with {'prediction files' if args.runs else '--run'}")


def _compare_captions(args: argparse.Namespace) -> dict[str, Any]:
    from ofakit.cli._caption_scores import clip_of
    from ofakit.cli.compare_captions import compare_files

    return compare_files(
        [Path(name) for name in args.predictions],
        Path(args.references) if args.references else None,
        Path(args.document_frequency) if args.document_frequency else None,
        rounds=args.rounds, bootstrap=args.bootstrap, seed=args.seed, java=not args.no_java,
        segmentation=args.segmentation, clip=clip_of(args, args.device),
    )  # fmt: skip


def _compare_runs(args: argparse.Namespace) -> dict[str, Any]:
    from ofakit.cli.compare_runs import compare_runs

    return compare_runs(args)
