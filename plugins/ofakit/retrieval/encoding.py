"""Encode a base into an index directory: in any number of processes, killed and resumed as often as may be, the result
is the same to the bit.

    encode(embedder, PassageFile("passages.jsonl"), "base.index", dtype="float16")

The base is divided into blocks of some 4,096 items. A block is cut into batches by the number of tokens, so its vectors
depend on nothing outside it; processes take turns at the blocks and write each at its place in one preallocated file.
A block counts once its vectors are on disk and a record of it stands beside them. All of this happens in a folder
`.base.index.partial`, which gets its final name when the last block is done; until then an index that was there before
stays as it is. The same command continues where it was interrupted, if encoder, items and settings are the same.

Memory is bound by two blocks: the one that is computed and the next one, which is read and tokenized meanwhile.

A shard (`shard=(i, n)`) is the i-th of n runs of blocks as an index directory of its own, so machines need share
nothing; `merge_indexes` lists shards without copying them.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from ofakit.data.passage import Passage
from ofakit.data.query import Query
from ofakit.errors import ModelNotFinite, UsageError
from ofakit.files import write_text
from ofakit.folder_marks import refuse_strangers
from ofakit.json_text import to_json
from ofakit.locks import only_one
from ofakit.retrieval.encoding_job import (
    BAD_IMAGE,
    EMPTY,
    EncodingJob,
    check_bad,
    finish,
    is_whole,
    note_passages,
    prepare,
    shard_range,
)
from ofakit.retrieval.index_building import refuse_infinite
from ofakit.retrieval.index_record import RECORD, VECTORS, IndexRecord, PassageSource
from ofakit.retrieval.item_content import has_content
from ofakit.retrieval.token_batches import token_batches
from ofakit.retrieval.vector_files import DTYPES, VectorFile

if TYPE_CHECKING:
    from ofakit.processes import Processes

__all__ = ["Embedder", "Encoded", "Prepared", "encode"]

Item = Passage | Query
TEXT_BLOCK, IMAGE_BLOCK = 4096, 512


class Prepared(Protocol):
    """An item that has been read and tokenised."""

    @property
    def length(self) -> int:
        """Tokens of its text after truncation, 1 without one."""

    @property
    def error(self) -> str | None:
        """Why it cannot be encoded; None if it can."""


class Embedder(Protocol):
    """What makes vectors; `ofakit.inference.Embedder` is one."""

    dimension: int
    fingerprint: str
    """Of weights and settings."""
    description: Mapping[str, Any]
    """Type of the encoder, pooling, normalisation, side and modalities, for `index.json`."""

    def prepare(self, items: Sequence[Item]) -> Sequence[Prepared]:
        """Read and tokenise; done for the next block while one is computed."""

    def embed_prepared(self, prepared: Sequence[Any]) -> np.ndarray:
        """Vectors (n, d) float32 of one batch, in which nothing has an error."""


@dataclass(frozen=True)
class Encoded:
    """What was done.

    Attributes:
        folder: The index directory.
        count: Vectors in it.
        dimension: Of each.
        errors: Items that were left out; they are listed in `errors.jsonl`.
        computed: Items that this run has computed; the others were there already.
        seconds: Wall-clock time of this run.
    """

    folder: Path
    count: int
    dimension: int
    errors: int
    computed: int
    seconds: float


def encode(
    embedder: Embedder,
    items: Sequence[Item],
    folder: str | Path,
    *,
    metric: str = "ip",
    dtype: str = "float32",
    max_tokens: int = 1024,
    max_items: int = 128,
    block: int | None = None,
    shard: tuple[int, int] | None = None,
    processes: Processes | None = None,
    max_bad_fraction: float = 1.0,
    passages: PassageSource | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Encoded:
    """Encode items into an index directory.

    Args:
        embedder: Makes the vectors.
        items: Passages or queries; a sequence that reads slices when they are asked for, such as `PassageFile`, need
            not fit into memory.
        folder: The index directory. One that is there is replaced once the new one is whole.
        metric: By which vectors are going to be compared: "ip", "cosine" or "l2".
        dtype: "float32" or "float16".
        max_tokens: The most of a batch, padding included. About 1,000 suit a CPU, whose caches then hold what passes
            between layers; a GPU takes some 16,000.
        max_items: The most items of a batch.
        block: Items that are prepared at once, sorted by length, and lost when a process is killed. None: 4,096, or 512
            with images, which wait in memory.
        shard: Which of how many shards to encode, from 0.
        processes: Those that share the work, on one machine; None for this one alone.
        max_bad_fraction: The share of items that may have an image that cannot be read; they are left out and listed.
        passages: Where the items can be read again, for the index to say; from `passage_source`.
        progress: Called with the items done and all items of this process.

    Returns:
        What was done.

    Raises:
        UsageError: Another command encodes into the directory, an id stands there twice, a vector is not finite, too
            many images cannot be read, an argument is out of range, or something that is no index is in place of
            the directory.
        SaveError: The disk is full; the same call continues when there is room.
    """
    began = time.perf_counter()
    if block is None:
        block = IMAGE_BLOCK if "image" in embedder.description.get("modalities", ()) else TEXT_BLOCK
    if dtype not in DTYPES or block < 1:
        raise UsageError(f"expected dtype float32 or float16 and a block of 1 or more, found {dtype!r} and {block}")
    first, last = shard_range(len(items), block, shard)
    job = EncodingJob(
        embedder.description, embedder.fingerprint, embedder.dimension, items, first, last, Path(folder), metric, dtype,
        max_tokens, max_items, block, shard, max_bad_fraction, passages,
    )  # fmt: skip
    rank = processes.rank if processes else 0
    with _alone(job) if rank == 0 else nullcontext():
        computed = _run(job, embedder, processes, progress or (lambda done, total: None))
    record = IndexRecord.read(job.folder)
    seconds = time.perf_counter() - began
    return Encoded(job.folder, record.count, record.dimension, job.count - record.count, computed, seconds)


def _alone(job: EncodingJob) -> AbstractContextManager[None]:
    """Keep other commands out of the index directory while this one fills it; refuse one that holds other things."""
    refuse_strangers(job.folder)
    job.folder.parent.mkdir(parents=True, exist_ok=True)
    name = job.folder.name
    return only_one(
        job.folder.parent, f"encoding into {name}", "wait for it, or choose another folder", file=f".{name}.lock"
    )


def _run(
    job: EncodingJob, embedder: Embedder, processes: Processes | None, progress: Callable[[int, int], None]
) -> int:
    """Do what is left to do, in all processes; returns the number of items that were computed."""
    rank, world = (processes.rank, processes.world_size) if processes else (0, 1)
    plan = prepare(job) if rank == 0 else ""
    if processes is not None:
        plan = processes.gather(plan)[0]
    computed = 0
    if not is_whole(job, plan):
        computed = _compute(job, embedder, rank, world, progress)
        if processes is not None:
            computed = int(processes.total([computed])[0])
        if rank == 0:
            finish(job, plan)
    elif rank == 0:
        note_passages(job)
    if processes is not None:
        processes.wait()
    return computed


def _compute(job: EncodingJob, embedder: Embedder, rank: int, world: int, progress: Callable[[int, int], None]) -> int:
    """Compute the blocks of this process that are not done; returns the number of their items."""
    if (job.work / RECORD).exists():
        return 0
    mine = [number for number in job.blocks if number % world == rank and not job.record(number).exists()]
    total, done, bad = sum(len(job.place(number)) for number in mine), 0, 0
    with VectorFile(job.work / VECTORS) as file, ThreadPoolExecutor(1) as ahead:
        following = ahead.submit(_read, job, embedder, mine[0]) if mine else None
        for number, next_number in itertools.zip_longest(mine, mine[1:]):
            items, prepared = following.result()  # type: ignore[union-attr]
            following = None if next_number is None else ahead.submit(_read, job, embedder, next_number)
            rows = _embed_block(job, embedder, items, prepared, _shifted(progress, done, total))
            errors = _errors(items, prepared)
            file.write(job.place(number).start, rows)
            file.sync()
            write_text(job.record(number), to_json(errors))
            done, bad = done + len(items), bad + sum(error["kind"] == BAD_IMAGE for error in errors)
            check_bad(job, bad, errors)
    return done


def _shifted(progress: Callable[[int, int], None], done: int, total: int) -> Callable[[int], None]:
    """Progress within a block as progress of the whole."""
    return lambda further: progress(done + further, total)


def _read(job: EncodingJob, embedder: Embedder, number: int) -> tuple[Sequence[Item], list[Prepared | None]]:
    """The items of a block, prepared; None for an item with nothing to encode."""
    items = job.read(number)
    modalities = job.encoder.get("modalities", ("text", "image"))
    usable = [row for row, item in enumerate(items) if has_content(item, modalities)]
    prepared: list[Prepared | None] = [None] * len(items)
    for row, entry in zip(usable, embedder.prepare([items[row] for row in usable]) if usable else [], strict=True):
        prepared[row] = entry
    return items, prepared


def _embed_block(
    job: EncodingJob,
    embedder: Embedder,
    items: Sequence[Item],
    prepared: Sequence[Prepared | None],
    progress: Callable[[int], None],
) -> np.ndarray:
    """The vectors of a block, zero where there is none."""
    rows = np.zeros((len(items), job.dimension), np.float32)
    usable = [(row, entry) for row, entry in enumerate(prepared) if entry is not None and entry.error is None]
    done = len(items) - len(usable)
    for batch in token_batches([entry.length for _, entry in usable], job.max_tokens, job.max_items):
        places = [usable[n][0] for n in batch]
        rows[places] = embedder.embed_prepared([usable[n][1] for n in batch])
        refuse_infinite(rows[places], job.dtype, [items[row].id for row in places], error=ModelNotFinite)
        done += len(places)
        progress(done)
    return rows


def _errors(items: Sequence[Item], prepared: Sequence[Prepared | None]) -> list[dict[str, Any]]:
    """The items of a block that have no vector, and why."""
    found = []
    for row, (item, entry) in enumerate(zip(items, prepared, strict=True)):
        if entry is None or entry.error is not None:
            kind, reason = (EMPTY, "nothing to encode") if entry is None else (BAD_IMAGE, entry.error)
            found.append({"row": row, "id": item.id, "image": item.image_path, "kind": kind, "reason": reason})
    return found
