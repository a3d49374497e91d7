"""`tools/encode.py`: encode passages into an index directory, in any number of processes and shards, resumable."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ofakit.cli._common import (
    add_config_arguments,
    add_device_argument,
    positive,
    retriever_of,
    run_tool,
    share,
    tool_parser,
)
from ofakit.cli._shards import add_launcher_arguments, encode_in_shards, part_named, wants_launcher
from ofakit.errors import UsageError

if TYPE_CHECKING:
    from ofakit.config import ExperimentConfig
    from ofakit.data.passage import Passage
    from ofakit.hub import RetrievalBundle
    from ofakit.retrieval.index_record import PassageSource

__all__ = ["main", "run"]

EXAMPLES = """examples:
  python tools/encode.py --encoder MODEL_DIR --texts passages.jsonl --out base.index
  python tools/encode.py --conf work_dir/run/conf.json --out base.index --dtype float16
  python tools/encode.py --encoder MODEL_DIR --texts passages.jsonl --out shard_3.index --shard 3/16
  torchrun --nproc_per_node 2 tools/encode.py --encoder MODEL_DIR --texts passages.jsonl --out base.index
  python tools/encode.py --encoder MODEL_DIR --texts passages.jsonl --out base.index --shards 8 --launcher local

Texts are JSON lines with id and text, and optionally title, image and article. A model is a directory of ofakit, of
sentence-transformers or of Hugging Face, or a hub id. The same command continues after a kill. The last line of
stdout is one JSON object with count, dimension, texts_per_second, seconds, computed (by this command, not earlier) and
errors."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the tool.

    Args:
        argv: The arguments; None takes those of the process.

    Returns:
        The exit code.
    """
    parser = tool_parser("Encode passages into an index directory.", EXAMPLES)
    add_config_arguments(parser, required=False)
    parser.add_argument("--encoder", metavar="DIR", help="retriever or text encoder; default: best/ of the --conf run")
    parser.add_argument("--texts", metavar="FILE", help="passages; default: the knowledge base of --conf")
    parser.add_argument("--out", metavar="DIR", required=True, help="the index directory")
    parser.add_argument("--side", choices=("query", "passage"), default="passage", help="default: passage")
    parser.add_argument("--modalities", nargs="+", choices=("text", "image"), help="default: all that the model reads")
    parser.add_argument(
        "--regions", metavar="PATH", help="of a model that reads region features: those of the images (.h5, .npz, a "
        "folder of .npz or a region store); default: computed by the network in the model directory",
    )  # fmt: skip
    parser.add_argument("--metric", choices=("ip", "cosine", "l2"), help="default: ip, or the value in --conf")
    parser.add_argument("--dtype", choices=("float32", "float16"), help="default: float32, or the value in --conf")
    parser.add_argument(
        "--max-tokens", type=positive, default=1024, metavar="N", help="tokens per batch; default: 1024"
    )
    parser.add_argument("--max-items", type=positive, default=128, metavar="N", help="items per batch; default: 128")
    parser.add_argument(
        "--max-bad-fraction", type=share, default=1.0, metavar="X",
        help="stop if a larger share of passages has an unreadable image; default: 1, which leaves such passages out",
    )  # fmt: skip
    parser.add_argument("--shard", metavar="I/N", help="encode the I-th of N shards, counted from 0")
    parser.add_argument("--allow-partial", action="store_true", help="accept an --encoder with missing weights")
    parser.add_argument("--precision", choices=("fp32", "bf16", "fp16"), default="fp32", help="default: fp32")
    add_device_argument(parser)
    add_launcher_arguments(parser)
    parser.set_defaults(arguments=list(sys.argv[1:] if argv is None else argv))
    return run_tool(parser, run, argv)


def run(args: argparse.Namespace) -> dict[str, Any] | None:
    """Encode.

    Args:
        args: The parsed arguments.

    Returns:
        The result for the last line of stdout; None in processes other than the first.

    Raises:
        UsageError: There is nothing to encode, or nothing to encode it with.
    """
    config = _config(args)
    if wants_launcher(args):
        return encode_in_shards(args, args.arguments)
    return _encode(args, config)


def _encode(args: argparse.Namespace, config: ExperimentConfig | None) -> dict[str, Any] | None:
    """Encode in this process, and those that torchrun started with it."""
    from ofakit.inference.embedder import Embedder
    from ofakit.processes import join_processes
    from ofakit.progress import progress_bar
    from ofakit.retrieval.encoding import encode
    from ofakit.retrieval.encoding_job import ERRORS

    shard = part_named(args.shard)
    processes = join_processes(args.device)
    items = _items(args, config)
    bundle = _bundle(args, config)
    embedder = Embedder(bundle, args.side, args.modalities, args.device, args.precision)
    section = bundle.retrieval.index
    with progress_bar(len(items), "encoding", "items", shown=processes.is_main) as bar:

        def progress(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        found = encode(
            embedder, items, args.out, metric=args.metric or section.metric, dtype=args.dtype or section.dtype,
            max_tokens=args.max_tokens, max_items=args.max_items, shard=shard, processes=processes, progress=progress,
            max_bad_fraction=args.max_bad_fraction, passages=_source(args, config) if processes.is_main else None,
        )  # fmt: skip
    if found.errors and processes.is_main:
        total = found.count + found.errors
        print(f"{found.errors} of {total} were left out; see {found.folder / ERRORS} for the reasons", file=sys.stderr)
    speed = found.computed / found.seconds if found.computed else 0.0
    result = {"out": str(found.folder), "count": found.count, "dimension": found.dimension, "errors": found.errors}
    result |= {"computed": found.computed, "texts_per_second": round(speed, 1), "seconds": round(found.seconds, 2)}
    return result if processes.is_main else None


def _config(args: argparse.Namespace) -> ExperimentConfig | None:
    """The experiment, where one is given."""
    if args.conf is not None and args.regions is not None:
        raise UsageError("--regions goes without --conf, which has its own: --set data.regions.path=PATH")
    if args.conf is None and not (args.encoder and args.texts):
        raise UsageError("pass --encoder DIR and --texts FILE, or --conf FILE")
    if args.conf is None:
        return None
    from ofakit.config import load_config

    return load_config(args.conf, args.overrides)


def _items(args: argparse.Namespace, config: ExperimentConfig | None) -> Sequence[Passage]:
    """What to encode: a file, read as it is needed, or the experiment's base."""
    if args.texts is not None:
        from ofakit.retrieval.passage_file import PassageFile

        return PassageFile(args.texts)
    from ofakit.data.search_files import read_corpus

    if config is None:
        raise UsageError("pass --texts FILE, or --conf FILE")
    return read_corpus(config)


def _source(args: argparse.Namespace, config: ExperimentConfig | None) -> PassageSource | None:
    """Where what is encoded can be read again."""
    from ofakit.retrieval.passage_source import source_of_experiment, source_of_texts

    if args.texts is not None:
        return source_of_texts(args.texts, args.out)
    return None if config is None else source_of_experiment(config, args.out)


def _bundle(args: argparse.Namespace, config: ExperimentConfig | None) -> RetrievalBundle:
    """What encodes: a directory, or the experiment's model."""
    if config is not None:
        config.model.allow_partial |= args.allow_partial
        return retriever_of(config, args.encoder)
    from ofakit.hub import load_retriever

    bundle = load_retriever(args.encoder, args.allow_partial)
    if args.regions is not None:
        from ofakit.preprocessors.regions import give_regions

        give_regions(bundle, args.regions)
    return bundle
