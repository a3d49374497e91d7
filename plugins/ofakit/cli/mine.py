"""`tools/mine.py`: mine hard negatives for training questions from rankings, checked by a cross-encoder."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ofakit.cli._common import (
    add_config_arguments,
    files_read,
    output_file,
    reader_of,
    retriever_of,
    run_tool,
    tool_parser,
)
from ofakit.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from ofakit.config import ExperimentConfig
    from ofakit.data.passage import Passage
    from ofakit.data.passage_base import PassageBase
    from ofakit.data.query import Query
    from ofakit.data.text_table import TextTable
    from ofakit.processes import Processes
    from ofakit.retrieval.run import Run

__all__ = ["add_arguments", "main", "run"]

EXAMPLES = """examples:
  python tools/mine.py --corpus corpus.jsonl --queries train.jsonl --qrels train.trec --run bm25.trec --out FILE
  python tools/mine.py --conf conf.json --searcher bm25 --searcher dense --model CROSS_ENCODER --max-score -2 --out FILE
  python tools/mine.py --conf conf.json --number 0 --random 4 --random-group article --out FILE

Corpus and queries are JSON lines with id and text, and optionally title, image, article, answers. After a kill, the
same command continues. Training reads the file as data.negatives and, if --model was used, as data.teacher_scores."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the tool.

    Args:
        argv: The arguments; None takes those of the process.

    Returns:
        The exit code.
    """
    parser = tool_parser("Mine hard negatives for the training questions of a retriever.", EXAMPLES)
    add_arguments(parser)
    return run_tool(parser, run, argv)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what this tool takes.

    Args:
        parser: Gets the arguments.
    """
    add_config_arguments(parser, required=False)
    parser.add_argument("--corpus", metavar="FILE", help="passages, in place of those of --conf")
    parser.add_argument("--queries", metavar="FILE", help="training questions, in place of data.train of --conf")
    parser.add_argument(
        "--qrels", metavar="FILE", help="TREC qrels of the questions, in place of a column in the queries"
    )
    parser.add_argument(
        "--run",
        metavar="FILE",
        action="append",
        default=[],
        dest="runs",
        help="TREC run for the questions (repeatable)",
    )
    parser.add_argument(
        "--searcher", metavar="NAME", action="append", default=[], dest="searchers",
        help="search with this entry of retrieval.searchers in --conf (repeatable)",
    )  # fmt: skip
    parser.add_argument("--checkpoint", metavar="DIR", help="retriever for the searchers (default: the run's best)")
    parser.add_argument("--out", metavar="FILE", required=True, help="JSON lines file of negatives to write")
    parser.add_argument("--number", type=int, default=8, metavar="N", help="hard negatives per question (default: 8)")
    parser.add_argument("--ranks", default="1-100", metavar="A-B", help="ranks to take them from (default: 1-100)")
    parser.add_argument(
        "--sampling",
        choices=["top", "random"],
        default="top",
        help="take the hardest, or a random sample (default: top)",
    )
    parser.add_argument(
        "--absolute-margin", type=float, metavar="X", help="smallest distance below the score of the best positive"
    )
    parser.add_argument("--relative-margin", type=float, metavar="X", help="the same as a share of that score")
    parser.add_argument("--max-score", type=float, metavar="X", help="drop candidates that score higher")
    parser.add_argument(
        "--keep-answers", action="store_true", help="keep passages that contain an answer of the question"
    )
    parser.add_argument(
        "--random", type=int, default=0, metavar="N", help="additional random negatives per question (default: 0)"
    )
    parser.add_argument(
        "--random-group", metavar="COLUMN",
        help="draw them from the group of a positive: a column of the passages, such as type, or article",
    )  # fmt: skip
    parser.add_argument(
        "--model",
        metavar="DIR",
        help="model that scores all candidates: a cross-encoder, a model trained with itm, or a retriever",
    )
    parser.add_argument(
        "--probabilities", action="store_true", help="the model's scores are probabilities, not log-odds"
    )
    parser.add_argument("--device", help="cpu, gpu or cuda:1 (default: a GPU if there is one)")
    parser.add_argument("--seed", type=int, default=7, help="sampling seed (default: 7)")


def run(args: argparse.Namespace) -> dict[str, Any] | None:
    """Mine, and return the counts.

    Args:
        args: The parsed arguments.

    Returns:
        `questions`, `negatives`, `short`, and what was left out; None in all processes but the first.

    Raises:
        UsageError: Arguments, files or configuration cannot be used.
    """
    from ofakit.retrieval.mining import NegativeMiner, mine_to_file

    out, settings = output_file(args.out, "--out", files_read(args, besides="--out")), _settings(args)
    processes = _processes(args)
    data = _data(args)
    rankings = {**_runs(args, data.queries), **_searched(args, data, processes)}
    miner = NegativeMiner(data.base, rankings, settings, _scorer(args), _groups(args, data.reader))
    counts = mine_to_file(miner, data.queries, out, _fingerprint(args, data), processes)
    if processes is not None and not processes.is_main:
        return None
    usual = {"questions": 0, "negatives": 0, "short": 0, "without_positive": 0, "without_ranking": 0}
    return {**usual, **dict(sorted(counts.items())), "file": str(out)}


class _Data(NamedTuple):
    """What is mined from, and the configuration that says so, if one does."""

    queries: Sequence[Query]
    base: PassageBase
    reader: Any
    config: ExperimentConfig | None


def _settings(args: argparse.Namespace) -> Any:
    from ofakit.retrieval.mining import MiningSettings

    first, _, last = args.ranks.partition("-")
    if not (first.isdecimal() and last.isdecimal()):
        raise UsageError(f"--ranks: expected two ranks such as 10-100, found {args.ranks!r}")
    return MiningSettings(
        number=args.number, first_rank=int(first), last_rank=int(last), sampling=args.sampling,
        absolute_margin=args.absolute_margin, relative_margin=args.relative_margin, max_score=args.max_score,
        random=args.random, keep_answers=args.keep_answers, seed=args.seed,
    )  # fmt: skip


def _processes(args: argparse.Namespace) -> Processes | None:
    """Those that torchrun started; PyTorch is not loaded for one."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return None
    from ofakit.processes import join_processes

    return join_processes(args.device)


def _data(args: argparse.Namespace) -> _Data:
    """The questions and the base."""
    from ofakit.data.base_folder import base_of
    from ofakit.data.knowledge_base import KnowledgeBase

    reader, split, config = _of_files(args) if args.conf is None else _of_configuration(args)
    queries = reader.read(split)
    base = KnowledgeBase(reader.passages(split)) if config is None else base_of(config, reader, split)
    return _Data(queries, base, reader, config)


def _of_files(args: argparse.Namespace) -> tuple[Any, str, None]:
    from ofakit.data.readers.knowledge_base import KnowledgeBaseReader

    for name in ("corpus", "queries"):
        if getattr(args, name) is None:
            raise UsageError(f"expected --corpus and --queries, or --conf; --{name} is missing")
    if args.searchers:
        raise UsageError("--searcher: expected --conf, whose retrieval.searchers it names")
    qrels = {"train": args.qrels} if args.qrels else None
    return KnowledgeBaseReader(args.corpus, train=args.queries, qrels=qrels), "train", None


def _of_configuration(args: argparse.Namespace) -> tuple[Any, str, ExperimentConfig]:
    from ofakit.config import load_config

    refused = [f"--{name}" for name in ("corpus", "queries", "qrels") if getattr(args, name) is not None]
    if refused:
        raise UsageError(f"--conf already says where questions and passages are; leave out {' and '.join(refused)}")
    config = load_config(args.conf, args.overrides)
    reader = reader_of(config)
    if not hasattr(reader, "passages"):
        raise UsageError("expected a reader of questions and passages as data.reader, such as knowledge_base")
    return reader, config.data.train, config


def _column(reader: Any, column: str) -> TextTable:
    """A column of the passages by their ids, as text."""
    from ofakit.data.text_table import TextTable

    if not hasattr(reader, "passages_file"):
        raise UsageError("--random-group: passages of this reader have no columns; expected article")
    return TextTable(_pairs(reader, column))


def _pairs(reader: Any, column: str) -> Iterator[tuple[str, str]]:
    """The id of each passage, and what stands in a column of it."""
    from ofakit.data.json_files import id_in, require
    from ofakit.data.row_files import iter_rows

    for where, row in iter_rows(reader.passages_file, "passages"):
        own = reader.passage_columns.require(row, "id", where)
        yield str(own), str(id_in(require(row, column, where), where))


def _runs(args: argparse.Namespace, queries: Sequence[Query]) -> dict[str, Run]:
    """The rankings by file; those of other questions are refused."""
    from ofakit.retrieval.run import Run

    known = {query.id for query in queries}
    runs = {}
    for path in args.runs:
        run = Run.read(path)
        strangers = [query for query in run if query not in known]
        if len(strangers) == len(run):
            raise UsageError(
                f"--run {path} has no ranking for any of the {len(known)} questions; its queries are such as "
                f"{', '.join(strangers[:3])}"
            )
        runs[path] = run
    return runs


def _searched(args: argparse.Namespace, data: _Data, processes: Processes | None) -> dict[str, Run]:
    """The rankings of the configuration's searchers, by name."""
    if data.config is None or not args.searchers:
        return {}
    from ofakit.retrieval.searchers import SEARCHERS
    from ofakit.retrieval.searchers.base import SearchContext

    section, runs = data.config.retrieval, {}
    bundle: Any = None
    for name in args.searchers:
        if name not in section.searchers:
            raise UsageError(f"--searcher: there is no {name!r}: {did_you_mean(name, section.searchers)}")
        searcher = SEARCHERS.build(section.searchers[name].model_dump())
        if searcher.learns and bundle is None:
            bundle = retriever_of(data.config, args.checkpoint)
        searcher.take({} if bundle is None else bundle.fitted.get(name, {}))
        searcher.prepare(data.base, SearchContext(data.config.retrieval, bundle, processes))
        runs[name] = searcher.search(data.queries, int(args.ranks.partition("-")[2]))
    return runs


def _scorer(args: argparse.Namespace) -> Any:
    if args.model is None:
        if args.probabilities:
            raise UsageError("--probabilities: expected a --model, whose scores are the probabilities")
        return None
    from ofakit.retrieval.pair_scorers import load_pair_scorer

    return load_pair_scorer(args.model, args.probabilities, device=args.device)


def _groups(args: argparse.Namespace, reader: Any) -> Callable[[Passage], str] | None:
    """Names the group of a passage."""
    if args.random_group is None or args.random == 0:
        return None
    if args.random_group == "article":
        return lambda passage: passage.article_id
    groups = _column(reader, args.random_group)
    return lambda passage: groups.get(passage.id) or ""


def _fingerprint(args: argparse.Namespace, data: _Data) -> str:
    """What the negatives depend on, as a hash: the arguments, questions, passages, and the files of runs and models."""
    import hashlib
    import json

    values = {key: value for key, value in vars(args).items() if key not in ("out", "device")}
    digest = hashlib.blake2b(json.dumps(values, sort_keys=True, default=str).encode(), digest_size=16)
    if data.config is not None:
        digest.update(data.config.model_dump_json().encode())
    for query in data.queries:
        digest.update(repr((query.id, query.text, query.image_path, query.relevant_ids, query.answers)).encode())
    digest.update(data.base.digest.encode())
    folders = [args.model]
    if data.config is not None and args.searchers:
        folders.append(args.checkpoint or f"{data.config.work_dir}/best")
    models = [path for folder in folders if folder for path in sorted(Path(folder).glob("*")) if path.is_file()]
    for path in [*map(Path, args.runs), *models]:
        status = path.stat()
        digest.update(repr((str(path), status.st_size, status.st_mtime_ns)).encode())
    return digest.hexdigest()
