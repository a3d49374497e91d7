"""`tools/sweep.py`: run one experiment with many settings, resumable at any moment, and find the best run."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from ofakit.cli._common import add_config_arguments, run_tool, tool_parser

__all__ = ["main"]

EXAMPLES = """examples:
  python tools/sweep.py --conf configs/sweeps/quickstart.json
  python tools/sweep.py --conf configs/sweeps/quickstart.json --set work_dir=DIR --set parallel=2
  python tools/sweep.py --conf sweep.json --set metric=bleu4        the best of the same runs by another metric
  python tools/sweep.py --conf sweep.json --engine ray              asynchronous halving, population-based training

After a kill, the same command continues the sweep: finished runs are not repeated, an interrupted one is resumed. The
last line of stdout is one JSON object with runs, a list, and best; runs.jsonl and results.csv are in work_dir."""

# The tool is started by its module, so that a sweep works from any folder and without a checkout.
FINETUNE = "import sys; sys.argv[0] = 'finetune.py'; from ofakit.cli.finetune import main; raise SystemExit(main())"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the tool.

    Args:
        argv: The arguments; None takes those of the process.

    Returns:
        The exit code.
    """
    parser = tool_parser("Run one experiment many times with different parameters.", EXAMPLES)
    add_config_arguments(parser)
    parser.add_argument("--engine", default="local", metavar="NAME", help="local (default) or ray")
    parser.add_argument("--retry-failed", action="store_true", help="resume runs that failed earlier")
    return run_tool(parser, run, argv)


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Run the sweep.

    Args:
        args: The parsed arguments.

    Returns:
        The result for the last line of stdout.
    """
    from ofakit.sweeps.load_sweep import check_on_base, load_sweep
    from ofakit.sweeps.sweep import run_sweep

    config = load_sweep(args.conf, args.overrides)
    check_on_base(config)
    return run_sweep(config, [sys.executable, "-c", FINETUNE], args.engine, args.retry_failed)
