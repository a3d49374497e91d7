"""The command `ofakit`: every tool as a verb.

    ofakit finetune --conf FILE              does what python tools/finetune.py --conf FILE does
    python -m ofakit finetune --conf FILE    the same; torchrun takes it as torchrun -m ofakit finetune --conf FILE

A file of this folder that has a function `main(argv)` is a verb, and the first line of its docstring is what the help
says of it. Files are read for that, not imported, so that the help needs no package and comes at once.
"""

from __future__ import annotations

import argparse
import ast
import importlib
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from ofakit import __version__
from ofakit.cli._common import program
from ofakit.errors import did_you_mean

__all__ = ["main", "verbs"]

EPILOG = """verbs:
{verbs}

`ofakit VERB --help` lists the options of a verb. The last line of stdout is one JSON object. Exit codes: 0 success, 2
bad usage, configuration or data, 1 anything else."""


def main(argv: Sequence[str] | None = None, name: str = "ofakit") -> int:
    """Run the tool that the first argument names with the arguments behind it.

    Args:
        argv: The verb and its arguments; None takes those of the process.
        name: What help and messages call the command.

    Returns:
        The exit code of the tool; 2 for a verb that there is none of.
    """
    available = verbs()
    parser = _parser(name, available)
    args = parser.parse_args(argv)
    if args.verb not in available:
        print(f"{name}: error: unknown verb {args.verb!r}: {did_you_mean(args.verb, available)}", file=sys.stderr)
        return 2
    tool = importlib.import_module(f"ofakit.cli.{args.verb.replace('-', '_')}")
    called = program.set(f"{name} {args.verb}")
    try:
        return tool.main(args.arguments)
    finally:
        program.reset(called)


def verbs() -> dict[str, str]:
    """Every verb, and a line on what it does. Imports none of them.

    >>> verbs()["finetune"]
    'train from a configuration, then evaluate the best model; or only evaluate'
    """
    found = {}
    for file in sorted(Path(__file__).parent.glob("*.py")):
        if file.stem.startswith("_") or file == Path(__file__):
            continue
        tree = ast.parse(file.read_text(encoding="utf-8"))
        if any(isinstance(node, ast.FunctionDef) and node.name == "main" for node in tree.body):
            summary = (ast.get_docstring(tree) or "").partition("\n")[0]
            found[file.stem.replace("_", "-")] = re.sub("^`[^`]*`: ", "", summary).rstrip(".")
    return found


def _parser(name: str, available: dict[str, str]) -> argparse.ArgumentParser:
    width = max(map(len, available))
    lines = "\n".join(f"  {verb:{width}}  {summary}" for verb, summary in available.items())
    parser = argparse.ArgumentParser(
        prog=name, usage="%(prog)s [-h] [--version] VERB ...",
        description="Caption images in a chosen style, and retrieve passages with images.",
        epilog=EPILOG.format(verbs=lines), formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False,
    )  # fmt: skip
    parser.add_argument("--version", action="version", version=f"ofakit {__version__}")
    parser.add_argument("verb", metavar="VERB", help=argparse.SUPPRESS)
    parser.add_argument("arguments", metavar="...", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    return parser
