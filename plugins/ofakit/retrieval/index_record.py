"""What `index.json` says of an index directory, and whether the files beside it are those that it speaks of.

    {"format": "ofakit-index", "version": 1, "ofakit": "0.9.0",
     "fingerprint": "9f…", "encoder": {"type": "hugging_face", "side": "passage", "pooling": "mean", …},
     "metric": "ip", "dimension": 384, "dtype": "float16", "count": 3662,
     "parts": [{"folder": ".", "count": 3662, "files": {"vectors.npy": {"bytes": …, "sha256": "…"}, …}}],
     "passages": {"texts": "../passages.jsonl", "files": {"../passages.jsonl": {"bytes": …, "sha256": "…"}}},
     "engine": {"folder": "engine-1c…", "settings": {"engine": "faiss", …}, "vectors": "5e…", "files": {…}}}

A part is a folder with vectors and their ids: the directory itself, `part-0001` and so on where it has grown, or shards
elsewhere, which are searched where they lie. Passages are not copied: `passage_source.py` finds them again. Paths are
relative to the directory, so that all of it can be moved.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ofakit import __version__
from ofakit.config.retrieval import IndexSection
from ofakit.data.json_files import read_json
from ofakit.errors import UsageError
from ofakit.files import write_text
from ofakit.json_text import to_json
from ofakit.retrieval.id_files import ENDS, TEXT

__all__ = [
    "RECORD",
    "VECTORS",
    "EngineRecord",
    "FileRecord",
    "IndexRecord",
    "PartRecord",
    "PassageSource",
    "check_files",
    "file_records",
]

RECORD, VECTORS = "index.json", "vectors.npy"
PART_FILES = (VECTORS, TEXT, ENDS)
DAMAGED = "The index is damaged or was only partly copied: copy it again, or encode again"


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid")


class FileRecord(_Record):
    """A file as it was written."""

    bytes: int
    sha256: str


class PartRecord(_Record):
    """A folder with vectors and their ids."""

    folder: str
    count: int
    files: dict[str, FileRecord]


class PassageSource(_Record):
    """Where the passages of an index can be read again; one of `texts` and `experiment` is given."""

    texts: str | None = None
    """A file of JSON lines."""
    experiment: dict[str, Any] | None = None
    """The keys of a configuration that say which base it searches."""
    files: dict[str, FileRecord] = Field(default_factory=dict)
    """All that is known of the files that they come from."""


class EngineRecord(_Record):
    """What was built over the vectors to search them."""

    folder: str
    settings: IndexSection
    vectors: str
    """`IndexRecord.vectors_digest` of the vectors that it was built from."""
    files: dict[str, FileRecord]


class IndexRecord(_Record):
    """The content of `index.json`; the module's docstring shows one."""

    format: Literal["ofakit-index"] = "ofakit-index"
    version: Literal[1] = 1
    ofakit: str = __version__
    fingerprint: str
    encoder: dict[str, Any] = Field(default_factory=dict)
    metric: Literal["ip", "cosine", "l2"]
    dimension: int
    dtype: Literal["float32", "float16"]
    count: int
    plan: str | None = None
    """Fingerprint of what was encoded and how."""
    shard: tuple[int, int] | None = None
    """Which of how many shards, from 0."""
    parts: list[PartRecord]
    passages: PassageSource | None = None
    """Where the passages can be read again; None where nobody said."""
    engine: EngineRecord | None = None

    @property
    def vectors_digest(self) -> str:
        """Tells the vectors of all parts from any others."""
        sums = [part.files[VECTORS].sha256 for part in self.parts]
        return hashlib.sha256(" ".join(sums).encode()).hexdigest()[:32]

    @classmethod
    def read(cls, folder: Path) -> IndexRecord:
        """Read the record of an index directory.

        Args:
            folder: The index directory.

        Raises:
            UsageError: There is none, or it is of a later version.
        """
        if not (folder / RECORD).is_file():
            raise UsageError(
                f"expected an index directory in {folder}, found no {RECORD} there. Make one with ofakit encode; to "
                "finish an interrupted one, run the same command again"
            )
        return cls.of(read_json(folder / RECORD, "the description of an index"), str(folder / RECORD))

    @classmethod
    def of(cls, values: Mapping[str, Any], where: str) -> IndexRecord:
        """A record with checked values.

        Args:
            values: As in `index.json`.
            where: Where they come from, for the message.

        Raises:
            UsageError: One is missing, unknown or of another type.
        """
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            reasons = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()[:3])
            raise UsageError(f"expected the description of an index of version 1 in {where}: {reasons}") from None

    def write(self, folder: Path) -> None:
        """Write the record, whole or not at all.

        Args:
            folder: The index directory.

        Raises:
            SaveError: The disk refused; the old record is intact.
        """
        write_text(folder / RECORD, to_json(self.model_dump(mode="json"), indent=1) + "\n")


def file_records(folder: Path, names: Iterable[str] = PART_FILES) -> dict[str, FileRecord]:
    """Sizes and checksums of files.

    Args:
        folder: Where they are.
        names: Their names, relative to the folder.
    """
    return {name: FileRecord(bytes=(folder / name).stat().st_size, sha256=_sha256(folder / name)) for name in names}


def check_files(folder: Path, files: Mapping[str, FileRecord], verify: bool = False, cure: str = DAMAGED) -> None:
    """Refuse files that are not those that were written.

    Args:
        folder: Where they are.
        files: What was written.
        verify: Read them whole and compare checksums, not sizes alone.
        cure: What the message says one can do.

    Raises:
        UsageError: One is missing or differs.
    """
    for name, expected in files.items():
        path = folder / name
        if not path.is_file():
            raise UsageError(f"expected {path}, of {expected.bytes} bytes; there is no such file. {cure}")
        if (size := path.stat().st_size) != expected.bytes:
            raise UsageError(f"expected {expected.bytes} bytes in {path}, found {size}. {cure}")
        if verify and (found := _sha256(path)) != expected.sha256:
            raise UsageError(f"expected the checksum {expected.sha256} of {path}, found {found}. {cure}")


def _sha256(path: Path) -> str:
    digest, buffer = hashlib.sha256(), memoryview(bytearray(2**20))
    with open(path, "rb", buffering=0) as file:
        while count := file.readinto(buffer):
            digest.update(buffer[:count])
    return digest.hexdigest()
