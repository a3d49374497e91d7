"""Make, extend and join index directories, and build what searches them.

    write_index("base.index", vectors, ids, fingerprint="9f…", metric="cosine")
    append_vectors("base.index", more_vectors, more_ids, fingerprint="9f…")
    merge_indexes(["shard-0", "shard-1"], "base.index")
    build_engine("base.index", IndexSection(engine="faiss", factory="HNSW32"))

Each leaves the previous directory, or the new one: new files get names of their own, and `index.json`, which names
those that count, is replaced last and in one step.
"""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ofakit.config.retrieval import IndexSection
from ofakit.errors import OfakitError, UsageError
from ofakit.files import replace_folder
from ofakit.folder_marks import refuse_file
from ofakit.retrieval.id_files import Ids, open_ids, refuse_duplicates, write_ids
from ofakit.retrieval.index_directory import IndexDirectory, load_index
from ofakit.retrieval.index_record import (
    RECORD,
    VECTORS,
    EngineRecord,
    IndexRecord,
    PartRecord,
    PassageSource,
    file_records,
)
from ofakit.retrieval.indexes import INDEXES
from ofakit.retrieval.passage_source import moved_source
from ofakit.retrieval.vector_files import VectorFile, Vectors

__all__ = ["append_vectors", "build_engine", "merge_indexes", "refuse_infinite", "write_index", "write_part"]

log = logging.getLogger(__name__)

ENGINE = "engine-"


def write_index(
    folder: str | Path,
    vectors: np.ndarray | Vectors,
    ids: Sequence[str],
    *,
    fingerprint: str = "",
    metric: str = "ip",
    dtype: str = "float32",
    encoder: Mapping[str, Any] | None = None,
) -> IndexDirectory:
    """Write vectors and their ids as an index directory; one that has the name is replaced.

    Args:
        folder: The directory.
        vectors: (n, d).
        ids: One for each.
        fingerprint: Of the encoder that made them.
        metric: By which they are compared: "ip", "cosine" or "l2".
        dtype: "float32" or "float16".
        encoder: A description of the encoder.

    Returns:
        The index, opened.

    Raises:
        UsageError: The numbers of vectors and ids differ, an id stands there twice, or a value is not finite.
        SaveError: The disk refused; what was there before is intact.
    """
    folder = Path(folder)
    rows = vectors if isinstance(vectors, Vectors) else Vectors([_matrix(vectors)])
    with replace_folder(folder) as new:
        part = write_part(new, ".", rows, ids, dtype)
        values: dict[str, Any] = {
            "fingerprint": fingerprint,
            "encoder": dict(encoder or {}),
            "metric": metric,
            "dtype": dtype,
        }
        values |= {"dimension": rows.dimension, "count": len(rows), "parts": [part]}
        IndexRecord.of(values, "the arguments").write(new)
    return load_index(folder)


def append_vectors(
    folder: str | Path, vectors: np.ndarray | Vectors, ids: Sequence[str], fingerprint: str
) -> IndexDirectory:
    """Add vectors to an index directory as a further part.

    A FAISS or Milvus index over the previous vectors is refused from then on, until it is built again. The directory no
    longer records where its passages are, which is then more than one place.

    Args:
        folder: The directory.
        vectors: (n, d).
        ids: One for each, and none that is there already.
        fingerprint: Of the encoder that made them.

    Returns:
        The index, opened to be searched exactly.

    Raises:
        UsageError: They are of another encoder or dimension, an id is there already, or a value is not finite.
        SaveError: The disk refused; what was there before is intact.
    """
    folder = Path(folder)
    rows = vectors if isinstance(vectors, Vectors) else Vectors([_matrix(vectors)])
    index = load_index(folder, engine="exact").expect(fingerprint=fingerprint)
    record = index.record
    if rows.dimension != record.dimension:
        raise UsageError(f"expected vectors of {record.dimension} dimensions, found {rows.dimension}")
    used = [part.folder for part in record.parts]
    name = next(name for n in range(1, len(used) + 2) if (name := f"part-{n:04d}") not in used)
    with replace_folder(folder / name) as new:
        part = write_part(new, name, rows, ids, record.dtype)
        refuse_duplicates(Ids([*index.ids.parts, *open_ids(new).parts]))
    count = record.count + part.count
    grown = {"parts": [*record.parts, part], "count": count, "plan": None, "passages": None}
    record.model_copy(update=grown).write(folder)
    return load_index(folder, engine="exact")


def _matrix(vectors: np.ndarray) -> np.ndarray:
    rows = np.asarray(vectors)
    if rows.ndim != 2:
        raise UsageError(f"expected vectors of shape (n, d), found {rows.shape}")
    return rows


def write_part(folder: Path, name: str, rows: Vectors, ids: Sequence[str], dtype: str) -> PartRecord:
    """Write vectors and ids into an empty folder.

    Args:
        folder: The folder.
        name: What it will be called, relative to the index directory.
        rows: The vectors.
        ids: One for each.
        dtype: "float32" or "float16".

    Returns:
        The record of the part.

    Raises:
        UsageError: The numbers of vectors and ids differ, an id stands there twice, or a value is not finite.
        SaveError: The disk refused.
    """
    count = write_ids(folder, ids)
    if count != len(rows):
        raise UsageError(f"expected an id for each vector, found {count} ids and {len(rows)} vectors")
    with VectorFile.create(folder / VECTORS, count, rows.dimension, dtype) as file:
        for start, block in rows.blocks():
            refuse_infinite(block, dtype, ids, start)
            file.write(start, block)
    return PartRecord(folder=name, count=count, files=file_records(folder))


def refuse_infinite(
    rows: np.ndarray, dtype: str, ids: Sequence[str], start: int = 0, error: type[OfakitError] = UsageError
) -> None:
    """Refuse vectors that are not finite in the type in which they are kept.

    Args:
        rows: (n, d) of any floating type.
        dtype: "float32" or "float16", whose largest number is 65504.
        ids: Of all vectors.
        start: The position of the first row.
        error: What is raised: `ModelNotFinite` where a model made them.

    Raises:
        OfakitError: One is not; the message names it.
    """
    with np.errstate(over="ignore"):
        finite = np.isfinite(rows.astype(dtype, copy=False)).all(axis=1)
    if not finite.all():
        row = int(np.argmin(finite))
        values = rows[row][~np.isfinite(rows[row].astype(np.float32))]
        found = f"{values[0]}" if len(values) else f"a value that {dtype} cannot hold, {np.abs(rows[row]).max():g}"
        raise error(
            f"expected finite numbers in the vector of {ids[start + row]!r}, found {found}. Check the model's weights "
            "and the precision"
        )


def merge_indexes(folders: Sequence[str | Path], out: str | Path) -> IndexDirectory:
    """Join shards to one index directory, which lists them and searches them where they lie; nothing is copied.

    Args:
        folders: Index directories of one encoder. Shards of one base come in the order of their numbers, others in the
            order given.
        out: The directory that lists them. The shards may lie in it.

    Returns:
        The index, opened.

    Raises:
        UsageError: They differ in encoder, metric, dimension or type, a shard is missing or there twice, two share an
            id, or a file is in the way.
        SaveError: The disk refused.
    """
    out = Path(out)
    refuse_file(out)
    if not folders:
        raise UsageError("expected index directories to merge, found none")
    indexes = sorted((load_index(folder, engine="exact") for folder in folders), key=lambda i: i.record.shard or (0, 0))
    first = indexes[0].record
    for index in indexes[1:]:
        index.expect(first.fingerprint, first.metric, first.encoder)
        if (index.dimension, index.record.dtype) != (first.dimension, first.dtype):
            raise UsageError(
                f"expected {first.dimension} dimensions in {first.dtype} as in {indexes[0].folder}, found "
                f"{index.dimension} in {index.record.dtype} in {index.folder}"
            )
    _check_shards(indexes)
    refuse_duplicates(Ids([pair for index in indexes for pair in index.ids.parts]))
    _refuse_vectors_of_its_own(out)
    parts = [
        part.model_copy(update={"folder": os.path.relpath((index.folder / part.folder).resolve(), out.resolve())})
        for index in indexes
        for part in index.record.parts
    ]
    joined = {"parts": parts, "count": sum(map(len, indexes)), "shard": None, "plan": None, "engine": None}
    joined["passages"] = _common_passages(indexes, out)
    first.model_copy(update=joined).write(out)
    return load_index(out)


def _common_passages(indexes: Sequence[IndexDirectory], out: Path) -> PassageSource | None:
    """Where the passages of all are, if they come from one place."""
    sources = [None if (own := i.record.passages) is None else moved_source(own, i.folder, out) for i in indexes]
    return sources[0] if all(source == sources[0] for source in sources) else None


def _check_shards(indexes: Sequence[IndexDirectory]) -> None:
    """Refuse a shard of another division, one that is missing, and one that is there twice."""
    shards = [index.record.shard for index in indexes]
    if not any(shards):
        return
    total = next(shard for shard in shards if shard)[1]
    expected: list[tuple[int, int] | None] = [(number, total) for number in range(total)]
    if shards != expected:
        found = ", ".join("a whole index" if shard is None else f"{shard[0]}/{shard[1]}" for shard in shards)
        raise UsageError(f"expected each of the shards 0/{total} to {total - 1}/{total} once, found {found}")


def _refuse_vectors_of_its_own(out: Path) -> None:
    """Refuse to put a list of shards in place of vectors."""
    if (out / RECORD).exists() and any(part.folder == "." for part in IndexRecord.read(out).parts):
        raise UsageError(f"{out} contains vectors of its own; choose another folder for the merged index")


def build_engine(folder: str | Path, settings: IndexSection) -> IndexDirectory:
    """Build what searches an index directory.

    Args:
        folder: The directory.
        settings: The engine and what it takes. Its metric and type are those of the directory, whatever is said here.

    Returns:
        The index, opened with the engine.

    Raises:
        UsageError: The settings do not fit the vectors.
        SaveError: The disk refused; the previous engine is intact.
    """
    folder = Path(folder)
    index = IndexDirectory(folder, IndexRecord.read(folder))
    record = index.record
    settings = settings.model_copy(update={"metric": record.metric, "dtype": record.dtype})
    built = None
    if settings.engine != "exact":
        if not len(index):
            raise UsageError(f"{folder} contains no vectors to build an index from")
        identity = f"{record.vectors_digest} {settings.model_dump_json()}"
        name = f"{ENGINE}{hashlib.sha256(identity.encode()).hexdigest()[:12]}"
        with replace_folder(folder / name) as new:
            INDEXES.get(settings.engine).build(new, index.vectors, settings)
            files = file_records(new, sorted(str(p.relative_to(new)) for p in new.rglob("*") if _is_fixed(p, new)))
        built = EngineRecord(folder=name, settings=settings, vectors=record.vectors_digest, files=files)
    record.model_copy(update={"engine": built}).write(folder)
    _remove_engines(folder, record.engine, keep=None if built is None else built.folder)
    return load_index(folder)


def _is_fixed(path: Path, folder: Path) -> bool:
    """Whether a file of an engine stays as it was built; a database changes when it is opened."""
    return path.is_file() and not any(part.endswith(".db") for part in path.relative_to(folder).parts)


def _remove_engines(folder: Path, former: EngineRecord | None, keep: str | None) -> None:
    """Remove the engines that the directory no longer names."""
    if former is not None and former.folder != keep and (folder / former.folder).is_dir():
        try:
            INDEXES.get(former.settings.engine).discard(folder / former.folder)
        except UsageError as error:
            log.warning("the previous index could not be removed from its server: %s", error)
    for path in [*folder.glob(f"{ENGINE}*"), *folder.glob(f".{ENGINE}*")]:
        if path.name != keep:
            shutil.rmtree(path, ignore_errors=True)
