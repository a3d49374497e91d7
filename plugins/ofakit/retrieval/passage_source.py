"""Where the passages of an index directory come from, which has only their vectors and ids, and the way back there.

    {"texts": "../passages.jsonl", "files": {"../passages.jsonl": {"bytes": 1820, "sha256": "…"}}}
    {"experiment": {"data": {"reader": {"type": "scene_kb"}, "root": "../scenes", "test": "test"}}, "files": {…}}

`index.json` has one of these under `passages`. Whoever opens them gets what was encoded, or is told which file is gone
or has changed since.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ofakit.config.load import parse_config
from ofakit.config.schema import ExperimentConfig
from ofakit.data.knowledge_base import KnowledgeBase
from ofakit.data.passage_base import PassageBase
from ofakit.data.reading import build_reader, data_root
from ofakit.data.search_files import read_corpus
from ofakit.retrieval.index_record import PassageSource, check_files, file_records
from ofakit.retrieval.passage_file import PassageFile

__all__ = ["moved_source", "open_passages", "source_of_experiment", "source_of_texts"]


def source_of_texts(texts: str | Path, folder: str | Path) -> PassageSource:
    """A file of passages as the source of an index directory.

    Args:
        texts: JSON lines, as `PassageFile` reads them.
        folder: The index directory.

    Returns:
        The source, with paths relative to the directory.
    """
    found = PassageSource(texts=str(texts), files=file_records(Path(), [str(texts)]))
    return _with_paths(found, lambda path: _relative(path, folder))


def source_of_experiment(config: ExperimentConfig, folder: str | Path) -> PassageSource:
    """The base of an experiment as the source of an index directory.

    Args:
        config: The experiment, whose base `read_corpus` reads.
        folder: The index directory.

    Returns:
        The source, with paths relative to the directory.

    Raises:
        UsageError: There is no such reader, or a file is missing.
    """
    data = config.data.model_dump(mode="json", include={"reader", "test", "base_folder"})
    values = {"data": {**data, "root": data_root(config) or "."}, "corpus": config.corpus}
    if config.corpus is not None:
        names = [config.corpus]
    else:
        files_of = getattr(build_reader(config), "passage_files", None)
        names = [] if files_of is None else [str(path) for path in files_of(config.data.test)]
    found = PassageSource(experiment=values, files=file_records(Path(), names))
    return _with_paths(found, lambda path: _relative(path, folder))


def moved_source(source: PassageSource, folder: str | Path, other: str | Path) -> PassageSource:
    """The source of an index directory as that of another one.

    Args:
        source: Of the first.
        folder: The first.
        other: The second.

    Returns:
        The source, with paths relative to the second.
    """
    own = Path(folder).resolve()
    return _with_paths(source, lambda path: _relative(own / path, other))


def open_passages(source: PassageSource, folder: str | Path) -> PassageBase:
    """The passages themselves.

    Args:
        source: Where they come from.
        folder: The index directory.

    Raises:
        UsageError: A file is gone, or is not what it was when it was encoded.
    """
    own = Path(folder).resolve()
    cure = (
        f"The passages of the index in {folder} come from it. Give the file that was encoded, --passages FILE, or the "
        "experiment, --conf FILE; or encode again"
    )
    found = _with_paths(source, lambda path: os.path.normpath(own / path))
    check_files(own, found.files, verify=True, cure=cure)
    if found.texts is not None:
        return KnowledgeBase(PassageFile(found.texts))
    return read_corpus(parse_config(found.experiment or {}))


def _with_paths(source: PassageSource, change: Callable[[str], str]) -> PassageSource:
    """A source with other paths."""

    def changed(values: Mapping[str, Any], *keys: str) -> dict[str, Any]:
        return {key: change(value) if key in keys and value is not None else value for key, value in values.items()}

    experiment = source.experiment
    if experiment is not None:
        experiment = {**changed(experiment, "corpus"), "data": changed(experiment["data"], "root", "base_folder")}
    files = {change(name): record for name, record in source.files.items()}
    texts = None if source.texts is None else change(source.texts)
    return PassageSource(texts=texts, experiment=experiment, files=files)


def _relative(path: str | Path, folder: str | Path) -> str:
    """A path as it is written in an index directory."""
    return os.path.relpath(Path(path).expanduser().resolve(), Path(folder).resolve())
