"""`tools/data.py document-frequency`: count in how many images' captions each n-gram occurs, for CIDEr-D."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ofakit.cli._common import add_config_arguments, add_segmentation_argument, files_read, output_file, reader_of
from ofakit.errors import UsageError

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the subcommand takes.

    Args:
        parser: Gets the arguments.
    """
    add_config_arguments(parser, required=False)
    parser.add_argument("--split", metavar="NAME", help="split or slice of the experiment; default: its data.train")
    parser.add_argument("--references", metavar="FILE", help="COCO annotations JSON or JSONL, in place of --conf")
    parser.add_argument(
        "--for-reward", action="store_true", help="count as the reward cider_d does, not as scoring does"
    )
    add_segmentation_argument(parser)
    parser.add_argument("--output", metavar="FILE", required=True, help="file to write, such as train.df.npz")


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Count and save.

    Args:
        args: The parsed arguments.

    Returns:
        `output`, `documents`, `ngrams`, and `skipped`, the number of captions without a word.

    Raises:
        UsageError: Neither or both sources were given, one cannot be read, or the file cannot be written.
    """
    from ofakit.scores import document_frequency

    if (args.conf is None) == (args.references is None):
        raise UsageError("pass either --conf FILE or --references FILE")
    output = output_file(args.output, "--output", files_read(args, besides="--output"))
    lists = _of_file(Path(args.references)) if args.references else _of_experiment(args)
    tokenized = [_words(texts, args.for_reward, args.segmentation) for texts in lists]
    kept = [[text for text in texts if text] for texts in tokenized]
    kept = [texts for texts in kept if texts]
    if not kept:
        raise UsageError(f"{args.references or args.conf}: no captions to count")
    frequency = document_frequency(kept)
    output.parent.mkdir(parents=True, exist_ok=True)
    frequency.save(output)
    skipped = sum(map(len, tokenized)) - sum(map(len, kept))
    return {"output": str(output), "documents": frequency.documents, "ngrams": len(frequency), "skipped": skipped}


def _words(captions: list[str], for_reward: bool, segmentation: str) -> list[str]:
    """The words of each caption in the form in which they will be looked up; empty if it has none."""
    from ofakit.rewards.cider_d import ended
    from ofakit.scores import tokenize
    from ofakit.scores.document_frequencies import END

    if for_reward:
        return ["" if words == END else words for words in (ended(text, segmentation) for text in captions)]
    return tokenize(captions, segmentation)


def _of_file(path: Path) -> list[list[str]]:
    from ofakit.cli.evaluate_predictions import read_references

    return list(read_references(path).values())


def _of_experiment(args: argparse.Namespace) -> list[list[str]]:
    """The references of a split: an image in one style is a document, as it is when captions are scored."""
    from ofakit.config import load_config

    config = load_config(args.conf, args.overrides)
    return [list(example.references) for example in reader_of(config).read(args.split or config.data.train)]
