"""`tools/data.py`: check data, draw scenes, decode images, make features, count n-grams, list words, cut articles."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ofakit.cli import data_features, data_passages, data_viquae, document_frequency
from ofakit.cli._common import add_config_arguments, files_read, output_file, positive, reader_of, run_tool, tool_parser
from ofakit.errors import UsageError
from ofakit.json_text import NotJson, from_json, to_json

if TYPE_CHECKING:
    from ofakit.data import Example

__all__ = ["main"]

EXAMPLES = """examples:
  python tools/data.py doctor --conf configs/caption/flickrstyle.json --set data.root=DIR
  python tools/data.py doctor --reader '{"type": "flickrstyle", "root": "DIR"}' --split train --list problems.json
  python tools/data.py scenes --root work_dir/scenes --images 2000 --seed 7
  python tools/data.py store --conf configs/caption/flickrstyle.json --set data.root=DIR
  python tools/data.py features --images DIR --network resnet101_clip --weights FILE --out regions --pool 6
  python tools/data.py style-words --conf configs/caption/flickrstyle.json --set data.root=DIR --top 10
  python tools/data.py passages --articles articles.jsonl --out passages.jsonl --max-words 100

The doctor's findings go to stderr. The last line of stdout is one JSON object."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the tool.

    Args:
        argv: The arguments; None takes those of the process.

    Returns:
        The exit code.
    """
    parser = tool_parser("Check data and prepare it.", EXAMPLES)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_doctor(commands)
    _add_scenes(commands)
    _add_store(commands)
    _add_features(commands)
    _add_document_frequency(commands)
    _add_style_words(commands)
    _add_passages(commands)
    _add_viquae_search(commands)
    parser.set_defaults(arguments=list(sys.argv[1:] if argv is None else argv))
    return run_tool(parser, lambda args: args.run(args), argv)


def _add_doctor(commands: Any) -> None:
    parser = commands.add_parser("doctor", help="report what a data set contains and what is wrong with it")
    _add_data_arguments(parser)
    parser.add_argument("--no-images", action="store_true", help="check the texts only")
    parser.add_argument("--list", metavar="FILE", help="also write every problem to this JSON file")
    parser.set_defaults(run=_doctor)


def _add_scenes(commands: Any) -> None:
    parser = commands.add_parser("scenes", help="draw the quickstart's scenes and write captions for them")
    parser.add_argument("--root", default="work_dir/scenes", metavar="DIR", help="default: work_dir/scenes")
    parser.add_argument("--images", type=int, default=2000, metavar="N", help="training images; default: 2000")
    parser.add_argument("--val", type=int, default=100, metavar="N", help="validation images; default: 100")
    parser.add_argument("--test", type=int, default=200, metavar="N", help="test images; default: 200")
    parser.add_argument("--size", type=int, default=64, metavar="PIXELS", help="side of an image; default: 64")
    parser.add_argument("--seed", type=int, default=7, metavar="N", help="default: 7")
    parser.add_argument(
        "--pairs", type=float, default=0.3, metavar="SHARE", help="share of scenes with two shapes; default: 0.3"
    )
    parser.set_defaults(run=_scenes)


def _add_store(commands: Any) -> None:
    parser = commands.add_parser("store", help="decode an experiment's images before training")
    _add_data_arguments(parser)
    parser.add_argument("--store", metavar="DIR", help="default: data.image_store of the configuration")
    parser.add_argument("--size", type=positive, metavar="PIXELS", help="side of an image; default: as in training")
    parser.set_defaults(run=_store)


def _add_features(commands: Any) -> None:
    parser = commands.add_parser(
        "features", help="compute the region features of images with a frozen network before training"
    )
    data_features.add_arguments(parser)
    parser.set_defaults(run=data_features.run)


def _add_document_frequency(commands: Any) -> None:
    parser = commands.add_parser("document-frequency", help="count the images in whose captions each n-gram occurs")
    document_frequency.add_arguments(parser)
    parser.set_defaults(run=document_frequency.run)


def _add_style_words(commands: Any) -> None:
    parser = commands.add_parser(
        "style-words", help="list the words that characterise each style, as style_mlm finds them"
    )
    _add_source_arguments(parser, "default: the training split, or all splits of a reader without `train`")
    parser.add_argument("--top", type=int, default=20, metavar="N", help="most words per style; default: 20")
    parser.add_argument(
        "--min-score", type=float, default=1.0, metavar="Z", help="smallest z-score of the log-odds; default: 1"
    )
    parser.add_argument("--min-count", type=int, default=1, metavar="N", help="leave out rarer words; default: 1")
    parser.add_argument("--output", metavar="FILE", help="also write the words and scores to this JSON file")
    parser.set_defaults(run=_style_words)


def _add_passages(commands: Any) -> None:
    parser = commands.add_parser("passages", help="split articles into passages of whole sentences")
    data_passages.add_arguments(parser)
    parser.set_defaults(run=data_passages.run)


def _add_viquae_search(commands: Any) -> None:
    parser = commands.add_parser("viquae-search", help="convert a search configuration of meerqat, ViQuAE's own code")
    data_viquae.add_arguments(parser)
    parser.set_defaults(run=data_viquae.run)


def _add_data_arguments(parser: argparse.ArgumentParser) -> None:
    _add_source_arguments(parser, "the splits of the configuration, or all splits of the reader")
    parser.add_argument("--workers", type=positive, metavar="N", help="decoding threads; default: one per core")


def _add_source_arguments(parser: argparse.ArgumentParser, default_split: str) -> None:
    add_config_arguments(parser, required=False)
    parser.add_argument("--reader", metavar="JSON", help='a reader in place of an experiment: {"type": …, "root": …}')
    parser.add_argument(
        "--split", action="append", metavar="NAME", help=f"split or slice (repeatable); default: {default_split}"
    )


def _doctor(args: argparse.Namespace) -> dict[str, Any]:
    from ofakit.files import write_text

    target = None if args.list is None else output_file(args.list, "--list", files_read(args, besides="--list"))
    config, reader, splits = _source(args)
    looking = {
        "decode": not args.no_images,
        "workers": args.workers or os.cpu_count() or 1,
        "progress": _progress("looking"),
    }
    read = {split: reader.read(split) for split in splits}
    is_base = hasattr(reader, "passages")
    report, text, summary = _look_at_base(reader, read, looking) if is_base else _look_at(config, read, looking)
    print(text, file=sys.stderr)
    if target is not None:
        write_text(target, to_json(report, indent=1) + "\n")
    return summary


def _look_at(config: Any, splits: dict[str, list[Example]], looking: dict[str, Any]) -> tuple[Any, str, dict[str, Any]]:
    """The doctor's report on captions, the same as text, and its counts."""
    from ofakit.data.data_doctor import describe, examine

    styles = _known_styles(config)
    report = examine(splits, known_style=None if styles is None else styles.__contains__, **looking)
    counts = {name: _counted(split) for name, split in report["splits"].items()}
    summary = {"problems": report["problems"], "shared_images": report["shared_images"], "splits": counts}
    return report, describe(report), summary


def _look_at_base(reader: Any, splits: dict[str, Any], looking: dict[str, Any]) -> tuple[Any, str, dict[str, Any]]:
    """The doctor's report on a knowledge base, the same as text, and its counts."""
    from ofakit.data.base_doctor import describe_base, examine_base

    report = examine_base(reader.passages(), splits, **looking)
    counts = {name: _counted(split) for name, split in report["splits"].items()}
    shared = {name: report[name] for name in ("problems", "shared_images", "shared_articles", "images_in_base")}
    return report, describe_base(report), {**shared, "passages": _counted(report["passages"]), "splits": counts}


def _scenes(args: argparse.Namespace) -> dict[str, Any]:
    from ofakit.data import READERS

    names = ("root", "images", "val", "test", "size", "seed", "pairs")
    reader = READERS.build({"type": "scenes"}, **{name: getattr(args, name) for name in names})
    folder = reader.generate()
    examples = {split: len(reader.read(split)) for split in reader.splits()}
    print(f"scenes in {folder}", file=sys.stderr)
    return {"folder": str(folder), "examples": examples, **reader.settings}


def _store(args: argparse.Namespace) -> dict[str, Any]:
    from pathlib import Path

    from ofakit.data import ImageStore

    config, splits = _examples(args)
    folder, size = args.store, args.size
    if config is not None:
        sizes = config.preprocessor
        folder = folder or config.data.image_store or str(Path(config.work_dir) / "image_store")
        size = size or sizes.stored_size
    if folder is None or size is None:
        raise UsageError("pass --store DIR and --size PIXELS, or a --conf FILE that contains them")
    paths = {e.image_path for examples in splits.values() for e in examples if e.image_path is not None}
    store = ImageStore(folder, size)
    before = len(store)
    bad = store.add_many(sorted(paths), args.workers or os.cpu_count() or 1, _progress("decoding"))
    for path, reason in bad.items():
        print(f"{path}: {reason}", file=sys.stderr)
    done = {"folder": str(store.folder), "size": size, "images": len(paths), "decoded": len(store) - before}
    return {**done, "bad": len(bad), "bytes": store.bytes_needed(len(store))}


def _style_words(args: argparse.Namespace) -> dict[str, Any]:
    from ofakit.files import write_text
    from ofakit.text.style_words import captions_by_style, describe, style_words

    target = None if args.output is None else output_file(args.output, "--output", files_read(args, besides="--output"))
    _, splits = _examples(args, only_training=True)
    captions = captions_by_style(example for examples in splits.values() for example in examples)
    found = style_words(captions, args.top, min_score=args.min_score, min_count=args.min_count)
    print(describe(found))
    styles = {style: {word: round(score, 4) for word, score in pairs} for style, pairs in found.items()}
    result = {"captions": {style: len(texts) for style, texts in captions.items()}, "styles": styles}
    if target is None:
        return result
    write_text(target, to_json(result, indent=1) + "\n")
    return {**result, "output": args.output}


def _source(args: argparse.Namespace, only_training: bool = False) -> tuple[Any, Any, list[str]]:
    """The configuration, if one was given, the reader, and the splits to look at."""
    from ofakit.data import READERS

    if (args.conf is None) == (args.reader is None):
        raise UsageError("pass either --conf FILE or --reader JSON")
    if args.reader is not None:
        if args.overrides:
            raise UsageError("--set needs --conf; with --reader, write the keys into its JSON object")
        try:
            reader = READERS.build(from_json(args.reader))
        except NotJson as error:
            raise UsageError(f'--reader expects a JSON object such as {{"type": "jsonl"}}: {error}') from None
        found = reader.splits()
        return None, reader, args.split or (["train"] if only_training and "train" in found else found)
    from ofakit.config import load_config

    config = load_config(args.conf, args.overrides)
    evaluated = () if only_training else (config.data.val, config.data.test)
    return config, reader_of(config), args.split or [split for split in (config.data.train, *evaluated) if split]


def _examples(args: argparse.Namespace, only_training: bool = False) -> tuple[Any, dict[str, list[Example]]]:
    """The configuration, if one was given, and the examples of each split."""
    config, reader, splits = _source(args, only_training)
    return config, {split: reader.read(split) for split in splits}


def _known_styles(config: Any) -> Any:
    """The list of styles a configuration names, or None."""
    from ofakit.text import StyleSet

    names = None if config is None or config.style.mode == "none" else config.style.names
    if names is None:
        return None
    return StyleSet.from_file(names) if isinstance(names, str) else StyleSet(names)


def _counted(split: dict[str, Any]) -> dict[str, Any]:
    """A split's report with counts in place of lists."""
    return {name: len(value) if isinstance(value, list) else value for name, value in split.items()}


def _progress(noun: str) -> Any:
    """What is called with the images done and all images, for one split after the other."""
    from ofakit.progress import Progress, progress_bar

    bars: list[Progress] = []

    def advance(done: int, of: int) -> None:
        if not bars:
            bars.append(progress_bar(of, noun, "images"))
        bars[0].update(done - bars[0].n)
        if done == of:
            bars.pop().close()

    return advance
