"""The files of an encoding in progress: its plan, a record of each finished block, and what is made of them.

    .base.index.partial/
        plan.json            all that the vectors depend on; another plan starts over
        vectors.npy          preallocated; blocks are written at their place
        ids.bin id_ends.npy
        blocks/000000.json   a block that is on disk, and which of its items were left out

When all blocks are there the folder gets `index.json` and the name of the index directory. Where items were left out
the others are copied instead, so that rows and ids have no gaps.
"""

from __future__ import annotations

import collections
import hashlib
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ofakit.data.passage import Passage
from ofakit.data.query import Query
from ofakit.errors import UsageError
from ofakit.files import put_folder, replace_folder, saving, write_text
from ofakit.json_text import from_json, to_json
from ofakit.retrieval.id_files import Ids, open_ids, write_ids
from ofakit.retrieval.index_building import write_part
from ofakit.retrieval.index_record import RECORD, VECTORS, IndexRecord, PartRecord, PassageSource, file_records
from ofakit.retrieval.item_digest import item_digest
from ofakit.retrieval.vector_files import VectorFile, Vectors, open_vectors

__all__ = [
    "BAD_IMAGE",
    "EMPTY",
    "ERRORS",
    "EncodingJob",
    "check_bad",
    "finish",
    "is_whole",
    "note_passages",
    "prepare",
    "shard_range",
]

PLAN, BLOCKS, ERRORS = "plan.json", "blocks", "errors.jsonl"
BAD_IMAGE, EMPTY = "bad image", "empty passage"


@dataclass(frozen=True)
class EncodingJob:
    """One encoding: what of, how, and where it is written before it is whole. `ofakit.retrieval.encode` explains.

    Attributes:
        encoder: The description of the encoder.
        fingerprint: Of the encoder.
        dimension: Of its vectors.
        items: All items.
        first: Position of the first to encode.
        last: Position behind the last.
        folder: The index directory.
        metric: By which vectors are going to be compared.
        dtype: In which they are kept.
        max_tokens: The most of a batch.
        max_items: The most items of a batch.
        block: Items of a block.
        shard: Which of how many shards this is.
        max_bad_fraction: The share of items that may have a bad image.
        passages: Where the items can be read again, if that is known.
    """

    encoder: Mapping[str, Any]
    fingerprint: str
    dimension: int
    items: Sequence[Passage | Query]
    first: int
    last: int
    folder: Path
    metric: str
    dtype: str
    max_tokens: int
    max_items: int
    block: int
    shard: tuple[int, int] | None
    max_bad_fraction: float
    passages: PassageSource | None

    @property
    def work(self) -> Path:
        """Where vectors are until the last is there."""
        return self.folder.with_name(f".{self.folder.name}.partial")

    @property
    def count(self) -> int:
        """Items to encode."""
        return self.last - self.first

    @property
    def blocks(self) -> range:
        """Their numbers."""
        return range(-(-self.count // self.block))

    def place(self, number: int) -> range:
        """The rows of a block.

        Args:
            number: Of the block.
        """
        return range(number * self.block, min(self.count, (number + 1) * self.block))

    def read(self, number: int) -> Sequence[Passage | Query]:
        """The items of a block.

        Args:
            number: Of the block.
        """
        rows = self.place(number)
        return self.items[self.first + rows.start : self.first + rows.stop]

    def record(self, number: int) -> Path:
        """The file that says that a block is done, and which of its items were left out.

        Args:
            number: Of the block.
        """
        return self.work / BLOCKS / f"{number:06d}.json"


def shard_range(count: int, block: int, shard: tuple[int, int] | None) -> tuple[int, int]:
    """The items of a shard: whole blocks, so that shards give the vectors of one process.

    Args:
        count: Items of the base.
        block: Items of a block.
        shard: Which of how many, from 0; None for all.

    Returns:
        The position of its first item, and that behind its last. A shard may be empty.

    Raises:
        UsageError: There is no such shard.

    >>> [shard_range(10, 4, (number, 2)) for number in range(2)]
    [(0, 4), (4, 10)]
    """
    if shard is None:
        return 0, count
    number, total = shard
    if not 0 <= number < total:
        raise UsageError(f"expected a shard from 0/{total} to {total - 1}/{total}, found {number}/{total}")
    blocks = -(-count // block)
    return min(count, blocks * number // total * block), min(count, blocks * (number + 1) // total * block)


def prepare(job: EncodingJob) -> str:
    """Read all items once, and begin, or go on with what was begun.

    Args:
        job: The encoding.

    Returns:
        A digest of all that the vectors depend on.

    Raises:
        UsageError: An id stands there twice.
        SaveError: The disk has no room.
    """
    begun = job.work / PLAN
    before = begun.read_text(encoding="utf-8") if begun.exists() else None
    digest = hashlib.blake2b(digest_size=16)
    names = _names(job, digest)
    if before is None:
        _begin(job, names)
    else:
        collections.deque(names, maxlen=0)
    plan = _plan(job, digest.hexdigest())
    if before not in (None, plan):
        begun.unlink()
        return prepare(job)
    identity = hashlib.sha256(plan.encode()).hexdigest()[:32]
    if is_whole(job, identity):
        shutil.rmtree(job.work)
    elif before is None:
        with VectorFile.create(job.work / VECTORS, job.count, job.dimension, job.dtype):
            write_text(begun, plan)
    return identity


def _begin(job: EncodingJob, names: Iterator[str]) -> None:
    """Write the ids into a new folder, which a fault in the items takes away again."""
    shutil.rmtree(job.work, ignore_errors=True)
    try:
        with saving(job.work):
            (job.work / BLOCKS).mkdir(parents=True)
            write_ids(job.work, names)
    except BaseException:
        shutil.rmtree(job.work, ignore_errors=True)
        raise


def _names(job: EncodingJob, digest: Any) -> Iterator[str]:
    """The ids of all items, which go into the digest as they pass."""
    for number in job.blocks:
        for item in job.read(number):
            digest.update(item_digest(item))
            yield item.id


def _plan(job: EncodingJob, items: str) -> str:
    """All that the vectors depend on, as text."""
    plan = {
        "encoder": dict(job.encoder), "fingerprint": job.fingerprint, "items": items,
        "first": job.first, "count": job.count, "shard": job.shard, "metric": job.metric, "dtype": job.dtype,
        "max_tokens": job.max_tokens, "max_items": job.max_items, "block": job.block,
    }  # fmt: skip
    return to_json(plan, sort_keys=True, indent=1) + "\n"


def is_whole(job: EncodingJob, plan: str) -> bool:
    """Whether the index directory is there already, as this job would make it.

    Args:
        job: The encoding.
        plan: From `prepare`.
    """
    return (job.folder / RECORD).exists() and IndexRecord.read(job.folder).plan == plan


def note_passages(job: EncodingJob) -> None:
    """Let an index directory that is whole say where its passages are now.

    Args:
        job: The encoding.

    Raises:
        SaveError: The disk refused.
    """
    record = IndexRecord.read(job.folder)
    if job.passages not in (None, record.passages):
        record.model_copy(update={"passages": job.passages}).write(job.folder)


def check_bad(job: EncodingJob, bad: int, errors: Sequence[Mapping[str, Any]]) -> None:
    """Refuse to continue with too many bad images.

    Args:
        job: The encoding.
        bad: How many there are so far.
        errors: Items that were left out, some with a bad image.

    Raises:
        UsageError: There are more than `max_bad_fraction` allows.
    """
    if bad > job.max_bad_fraction * job.count:
        last = next(error for error in reversed(errors) if error["kind"] == BAD_IMAGE)
        raise UsageError(
            f"{bad} of {job.count} items have a missing or unreadable image, expected at most max_bad_fraction = "
            f"{job.max_bad_fraction:g}. One is {last['id']!r}, {last['reason']}. Check where the images are, or "
            "raise the limit; finished work is kept"
        )


def finish(job: EncodingJob, plan: str) -> None:
    """Put the vectors in place of the index directory, once every block is done.

    Args:
        job: The encoding.
        plan: From `prepare`.

    Raises:
        UsageError: Too many images are bad.
        SaveError: The disk refused.
    """
    if not (job.work / RECORD).exists():
        errors = _errors(job)
        check_bad(job, sum(error["kind"] == BAD_IMAGE for error in errors), errors)
        _refuse_bad_alone(job, errors)
        if errors:
            _finish_without(job, plan, errors)
            return
        part = PartRecord(folder=".", count=job.count, files=file_records(job.work))
        _record(job, plan, part).write(job.work)
    shutil.rmtree(job.work / BLOCKS, ignore_errors=True)
    put_folder(job.work, job.folder)


def _refuse_bad_alone(job: EncodingJob, errors: Sequence[Mapping[str, Any]]) -> None:
    """Refuse a base that is left without any item; a shard may be."""
    bad = [error for error in errors if error["kind"] == BAD_IMAGE]
    if bad and len(errors) == job.count and job.shard is None:
        raise UsageError(
            f"none of the {job.count} items could be encoded. One is {bad[0]['id']!r}, {bad[0]['reason']}. Check "
            "where the images are"
        )


def _errors(job: EncodingJob) -> list[dict[str, Any]]:
    """What was left out, in the order of the items; `row` counts from the first of them."""
    found = []
    for number in job.blocks:
        for error in from_json(job.record(number).read_bytes()):
            found.append({**error, "row": error["row"] + job.place(number).start})
    return found


def _finish_without(job: EncodingJob, plan: str, errors: Sequence[Mapping[str, Any]]) -> None:
    """Write the index directory without the items that were left out, whose rows are empty."""
    kept = np.ones(job.count, bool)
    kept[[error["row"] for error in errors]] = False
    ids, vectors = open_ids(job.work), open_vectors(job.work / VECTORS)
    bounds = np.flatnonzero(np.diff(kept, prepend=False, append=False)).reshape(-1, 2)
    rows = Vectors([vectors[first:last] for first, last in bounds.tolist()] or [vectors[:0]])
    lines = [{key: value for key, value in error.items() if key != "row"} for error in errors]
    with replace_folder(job.folder) as new:
        part = write_part(new, ".", rows, _Chosen(ids, np.flatnonzero(kept)), job.dtype)
        text = "".join(to_json(line) + "\n" for line in lines)
        (new / ERRORS).write_text(text, encoding="utf-8")
        shutil.copy(job.work / PLAN, new / PLAN)
        _record(job, plan, part).write(new)
    shutil.rmtree(job.work)


class _Chosen(Sequence[str]):
    """Some of many ids."""

    def __init__(self, ids: Ids, rows: np.ndarray) -> None:
        self.ids, self.rows = ids, rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, position):
        return self.ids[int(self.rows[position])]


def _record(job: EncodingJob, plan: str, part: PartRecord) -> IndexRecord:
    """The description of the index directory."""
    values = {
        "fingerprint": job.fingerprint, "encoder": dict(job.encoder), "metric": job.metric, "dimension": job.dimension,
        "dtype": job.dtype, "count": part.count, "plan": plan, "shard": job.shard, "parts": [part],
        "passages": job.passages,
    }  # fmt: skip
    return IndexRecord.of(values, "the arguments")
