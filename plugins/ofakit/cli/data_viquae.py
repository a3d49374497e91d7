"""`tools/data.py viquae-search`: convert a search configuration of meerqat to one of ofakit."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from ofakit.cli._common import files_read, output_file
from ofakit.errors import UsageError
from ofakit.json_text import to_json

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the subcommand takes.

    Args:
        parser: Gets the arguments.
    """
    parser.add_argument("file", metavar="FILE", help="JSON file of meerqat's search")
    parser.add_argument("--out", required=True, metavar="FILE", help="configuration to write")
    parser.add_argument(
        "--encoder", action="append", default=[], metavar="NAME=DIR",
        help="retriever (directory or hub id) that computes the vectors of an index or column (repeatable)",
    )  # fmt: skip
    parser.add_argument("--root", metavar="DIR", help="folder of the data, for data.root")


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Convert, check and write.

    Args:
        args: The parsed arguments.

    Returns:
        `output`, `searchers` and `remarks`.

    Raises:
        UsageError: The file is not a search configuration, or an argument is wrong.
    """
    from ofakit.config import parse_config
    from ofakit.data.json_files import read_json
    from ofakit.files import write_text
    from ofakit.retrieval.meerqat_config import convert_search

    output = output_file(args.out, "--out", files_read(args, besides="--out"))
    values = read_json(Path(args.file), "a search configuration of meerqat")
    if not isinstance(values, dict):
        raise UsageError(f"{args.file}: expected a JSON object, found a {type(values).__name__}")
    pairs = [text.partition("=") for text in args.encoder]
    for name, equals, folder in pairs:
        if not (name and equals and folder):
            raise UsageError(f"--encoder expects NAME=DIR, found {name + equals + folder!r}")
    converted = convert_search(values, {name: folder for name, _, folder in pairs}, args.root)
    parse_config(converted.values)
    write_text(output, to_json(converted.values, indent=2) + "\n")
    for remark in converted.remarks:
        print(remark, file=sys.stderr)
    searchers = list(converted.values["retrieval"]["searchers"])
    return {"output": str(output), "searchers": searchers, "remarks": converted.remarks}
