"""The corpus and queries of `tools/search.py`: files named on the command line, or the experiment's own.

{"corpus": "corpus.jsonl", "queries": "queries.jsonl", "qrels": "qrels.trec"}

Without `corpus` it is the base of the experiment's reader, without `queries` the questions of a split of it. A file of
questions has the columns that the reader takes; their images are looked for in its folder, then in the reader's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ofakit.config.schema import ExperimentConfig
from ofakit.data.base_folder import base_of, open_base
from ofakit.data.passage_base import PassageBase
from ofakit.data.query import Query
from ofakit.data.readers.knowledge_base import KnowledgeBaseReader
from ofakit.data.reading import build_reader
from ofakit.errors import UsageError, did_you_mean

__all__ = ["read_corpus", "read_queries"]


def read_corpus(config: ExperimentConfig, split: str = "test") -> PassageBase:
    """The passages to search, in memory or where `data.base_folder` says.

    Args:
        config: The experiment, with `corpus`.
        split: The split whose base it is, where the splits of a reader have one each.

    Raises:
        UsageError: There is no corpus, or a file is wrong.
    """
    if config.corpus is not None:
        settings = {"type": "corpus", "file": _absolute(config.corpus), **_columns(config)}
        base = open_base(_of_file(config, passages=config.corpus), None, config.data.base_folder, settings)
        if not len(base):
            raise UsageError(f"expected passages in {config.corpus}, found none")
        return base
    return base_of(config, _reader(config), getattr(config.data, split))


def read_queries(config: ExperimentConfig, split: str = "test") -> list[Query]:
    """What is asked.

    Args:
        config: The experiment, with `queries` and `qrels`.
        split: The split to ask, where there is no file.

    Raises:
        UsageError: There are no questions, or a file is wrong.
    """
    if config.queries is None:
        name = getattr(config.data, split)
        reader = _reader(config)
        if name is None:
            raise UsageError(f"data.{split} is null: name a file with --set queries=FILE, or choose another split")
        queries = reader.read(name)
        return queries if config.qrels is None else _judged(queries, config.qrels)
    judged = {} if config.qrels is None else {"qrels": {"test": _absolute(config.qrels)}}
    path = Path(_absolute(config.queries))
    if not path.read_bytes().strip():
        raise UsageError(f"expected questions in {config.queries}, found none")
    queries = _of_file(config, passages=config.queries, test=str(path), **judged).read("test")
    return [_with_image(query, Path(config.queries).absolute().parent, config) for query in queries]


def _reader(config: ExperimentConfig) -> Any:
    """The experiment's reader, which must have passages."""
    reader = build_reader(config)
    if reader is None or not hasattr(reader, "passages"):
        raise UsageError(
            "expected a corpus and queries: --set corpus=FILE --set queries=FILE, or a data.reader that reads a "
            f"knowledge base, found the reader {config.data.reader.type!r}"
        )
    return reader


def _of_file(config: ExperimentConfig, **files: Any) -> KnowledgeBaseReader:
    """A reader of files of the command line, with the columns of the experiment's reader."""
    passages = _absolute(files.pop("passages"))
    return KnowledgeBaseReader(passages=passages, root=Path(passages).parent, **_columns(config), **files)


def _columns(config: ExperimentConfig) -> dict[str, Any]:
    """Columns that the experiment's reader has under other names."""
    own = config.data.reader.model_extra or {}
    return {name: own[name] for name in ("passage_columns", "query_columns") if name in own}


def _absolute(name: str) -> str:
    path = Path(name).expanduser()
    if not path.is_file():
        known = sorted(p.name for p in path.parent.iterdir()) if path.parent.is_dir() else []
        raise UsageError(f"no file {name}: {did_you_mean(path.name, known) if known else 'its folder is missing'}")
    return str(path.absolute())


def _judged(queries: list[Query], qrels: str) -> list[Query]:
    """The questions with the judgements of another file."""
    from ofakit.data.qrels_files import read_qrels

    judged: Mapping[str, Mapping[str, float]] = read_qrels(Path(_absolute(qrels)), "judgements")
    return [replace(query, relevant=judged.get(query.id, {})) for query in queries]


def _with_image(query: Query, folder: Path, config: ExperimentConfig) -> Query:
    """The question with its image where it is: beside its file, or in the reader's folder of images."""
    if query.image_path is None or Path(query.image_path).exists():
        return query
    name = Path(query.image_path).relative_to(folder)
    images = Path(config.data.root or ".").expanduser() / str((config.data.reader.model_extra or {}).get("images", "."))
    return replace(query, image=str(images / name)) if (images / name).exists() else query
