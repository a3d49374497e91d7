"""`tools/data.py passages`: split articles into passages of whole sentences."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ofakit.cli._common import files_read, output_file, positive
from ofakit.errors import UsageError
from ofakit.json_text import from_json, to_json

if TYPE_CHECKING:
    from ofakit.data.passage import Passage
    from ofakit.retrieval.passages import Article

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the subcommand takes.

    Args:
        parser: Gets the arguments.
    """
    parser.add_argument(
        "--articles", nargs="+", required=True, metavar="FILE",
        help="JSON lines (.gz too), Parquet or Arrow, or a folder of them, with id, title and text",
    )  # fmt: skip
    parser.add_argument("--out", required=True, metavar="FILE", help="JSON lines file of passages to write")
    parser.add_argument(
        "--max-words",
        type=positive,
        default=100,
        metavar="N",
        help="words of a passage without its title; default: 100",
    )
    parser.add_argument(
        "--count", default="words", metavar="HOW",
        help="unit that is counted: words (and punctuation marks), whitespace, or the tokens of a Hugging Face "
        "tokenizer, given by its directory or hub id; default: words",
    )  # fmt: skip
    parser.add_argument(
        "--sentences", choices=("rule", "spacy"), default="rule", help="sentence splitter; default: rule"
    )
    parser.add_argument(
        "--layout", choices=("plain", "kilt"), default="plain",
        help="kilt: drop headings, lists and the first paragraph, which repeats the title; default: plain",
    )  # fmt: skip
    parser.add_argument(
        "--columns",
        type=from_json,
        metavar="JSON",
        help='names of columns that differ: {"id": "pageid", "text": "body"}',
    )
    parser.add_argument(
        "--keep-white-space", action="store_true", help="strip spaces around sentences, as in ViQuAE's passages"
    )


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Cut and write, holding one article at a time.

    Args:
        args: The parsed arguments.

    Returns:
        `output`, `articles`, `passages`, `words`, and `empty`, the number of articles without a passage.

    Raises:
        UsageError: A file cannot be read, or an argument is wrong.
    """
    from ofakit.files import replace_file
    from ofakit.retrieval.passages import Splitter, passages_of, token_counter

    output = output_file(args.out, "--out", [*files_read(args, besides="--out"), *_inside(args.articles)])
    splitter = Splitter(args.max_words, args.sentences, token_counter(args.count), args.layout, args.keep_white_space)
    counts = dict.fromkeys(("articles", "passages", "words", "empty"), 0)
    with replace_file(output) as new, new.open("w", encoding="utf-8") as file:
        for article in _articles(args):
            before = counts["passages"]
            for passage in passages_of(article, splitter):
                file.write(to_json(_row(passage)) + "\n")
                counts["passages"] += 1
                counts["words"] += len(str(passage.text).split())
            counts["articles"] += 1
            counts["empty"] += counts["passages"] == before
    return {"output": str(output), **counts}


def _inside(names: Sequence[str]) -> Iterator[Path]:
    """The files in those of some paths that are folders."""
    for folder in map(Path, names):
        if folder.is_dir():
            yield from folder.iterdir()


def _articles(args: argparse.Namespace) -> Iterator[Article]:
    from ofakit.data.columns import Columns
    from ofakit.data.row_files import iter_rows
    from ofakit.progress import progress_bar
    from ofakit.retrieval.passages import ARTICLE_COLUMNS, article_in

    if args.columns is not None and not isinstance(args.columns, dict):
        raise UsageError(f"--columns expects a JSON object, found {args.columns!r}")
    columns = Columns(ARTICLE_COLUMNS, args.columns, "columns")
    with progress_bar(None, "reading", "articles") as bar:
        for file in map(Path, args.articles):
            for where, row in iter_rows(file, "articles"):
                yield article_in(row, columns, where)
                bar.update()
    columns.refuse_missing(", ".join(args.articles))


def _row(passage: Passage) -> dict[str, Any]:
    fields = {"id": passage.id, "article": passage.article, "title": passage.title, "text": passage.text}
    return {name: value for name, value in {**fields, "image": passage.image}.items() if value is not None}
