"""`tools/index.py`: build an index over encoded passages, join shards, or check a directory."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from ofakit.cli._common import add_config_arguments, run_tool, tool_parser
from ofakit.errors import UsageError

__all__ = ["main", "run"]

EXAMPLES = """examples:
  python tools/index.py --vectors base.index --engine faiss --factory HNSW32
  python tools/index.py --vectors base.index --conf conf.json
  python tools/index.py --merge shard_0.index shard_1.index --out base.index
  python tools/index.py --vectors base.index --check

Directories come from tools/encode.py. Shards are listed, not copied. The last line of stdout is one JSON object."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the tool.

    Args:
        argv: The arguments; None takes those of the process.

    Returns:
        The exit code.
    """
    parser = tool_parser("Build, merge and check indexes of encoded passages.", EXAMPLES)
    add_config_arguments(parser, required=False)
    parser.add_argument("--vectors", metavar="DIR", help="index directory from tools/encode.py")
    parser.add_argument(
        "--engine", metavar="NAME", help="exact, faiss or milvus; default: faiss, or the value in --conf"
    )
    parser.add_argument("--factory", metavar="TEXT", help="FAISS factory string, or Milvus index type")
    parser.add_argument("--address", metavar="URI", help="Milvus server; default: a file in the directory")
    parser.add_argument("--merge", nargs="+", metavar="DIR", help="shards to merge; needs --out")
    parser.add_argument("--out", metavar="DIR", help="directory of the merged index, which lists the shards")
    parser.add_argument("--check", action="store_true", help="verify the checksums of all files")
    return run_tool(parser, run, argv)


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Build, join or check.

    Args:
        args: The parsed arguments.

    Returns:
        The result for the last line of stdout.

    Raises:
        UsageError: Not one thing to do was asked for, or the directory is damaged.
    """
    import time

    from ofakit.retrieval.index_building import build_engine, merge_indexes
    from ofakit.retrieval.index_directory import load_index

    if bool(args.merge) == bool(args.vectors) or bool(args.merge) != bool(args.out):
        raise UsageError(
            "pass --vectors DIR to build or check an index, or --merge DIR DIR … --out DIR to merge shards"
        )
    started = time.perf_counter()
    if args.merge:
        index = merge_indexes(args.merge, args.out)
    elif args.check:
        index = load_index(args.vectors, verify=True)
    else:
        index = build_engine(args.vectors, _section(args))
    about = {"engine": index.settings.engine, "factory": index.settings.factory, "metric": index.metric}
    size = {"count": len(index), "dimension": index.dimension, "seconds": round(time.perf_counter() - started, 2)}
    return {"index": str(index.folder), **size, **about}


def _section(args: argparse.Namespace) -> Any:
    """The section `retrieval.index`, with what the command line says on top."""
    from ofakit.config.load import checked, load_config
    from ofakit.config.retrieval import IndexSection

    own = (
        {"engine": "faiss"}
        if args.conf is None
        else load_config(args.conf, args.overrides).retrieval.index.model_dump()
    )
    given = {name: getattr(args, name) for name in ("engine", "factory", "address")}
    return checked(IndexSection, {**own, **{name: value for name, value in given.items() if value is not None}})
