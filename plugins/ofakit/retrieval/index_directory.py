"""A directory of vectors that describes itself, is checked when it is opened, and can be searched.

    from ofakit.retrieval import load_index
    index = load_index("work_dir/base.index").expect(fingerprint=embedder.fingerprint, metric="ip")
    scores, ids = index.search(vectors, k=100)

Vectors and ids are read through memory maps. `index_record.py` says what is in the directory, `index_building.py`
makes, extends and joins such directories, and `indexes/` has the engines that search them.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ofakit.config.retrieval import IndexSection
from ofakit.errors import UsageError
from ofakit.files import settle
from ofakit.retrieval.id_files import Ids, open_ids
from ofakit.retrieval.index_record import VECTORS, IndexRecord, PartRecord, check_files
from ofakit.retrieval.indexes import INDEXES
from ofakit.retrieval.indexes.base import IndexEngine
from ofakit.retrieval.vector_files import Vectors, open_vectors

__all__ = ["IndexDirectory", "load_index"]


def load_index(folder: str | Path, *, verify: bool = False, **settings: Any) -> IndexDirectory:
    """Open an index directory.

    Args:
        folder: The directory.
        verify: Read all files and compare their checksums, not their sizes alone.
        **settings: Keys of `retrieval.index` that hold instead of those the index was built with: how widely a search
            looks (`nprobe`, `ef_search`), `address`, or `engine="exact"` to pass the engine by.

    Returns:
        The index. Its engine is opened by the first search.

    Raises:
        UsageError: Something is missing, cut off or of another version, the engine was built from other vectors, or a
            setting is unknown or cannot be changed without building again.
    """
    folder = Path(folder)
    settle(folder)
    index = IndexDirectory(folder, IndexRecord.read(folder), verify)
    index.use(**settings)
    index.check_engine(verify)
    return index


class IndexDirectory:
    """Vectors with their ids, and an engine that searches them.

    Args:
        folder: The directory.
        record: Its description.
        verify: Compare checksums, not sizes alone.

    Attributes:
        vectors: All vectors, memory-mapped.
        ids: Their ids.

    Raises:
        UsageError: The files are not those that the description speaks of.
    """

    def __init__(self, folder: Path, record: IndexRecord, verify: bool = False) -> None:
        self.folder = folder
        self.record = record
        opened = [_open_part(folder, part, record, verify) for part in record.parts]
        self.vectors = Vectors([vectors for vectors, _ in opened])
        self.ids = Ids([pair for _, ids in opened for pair in ids.parts])
        if len(self.vectors) != record.count:
            raise UsageError(f"expected {record.count} vectors in {folder}, found {len(self.vectors)}")
        built = IndexSection(metric=record.metric, dtype=record.dtype)
        self.settings = record.engine.settings if record.engine else built
        self._engine: IndexEngine | None = None

    def __len__(self) -> int:
        return self.record.count

    @property
    def dimension(self) -> int:
        """Of each vector."""
        return self.record.dimension

    @property
    def metric(self) -> str:
        """ "ip", "cosine" or "l2"."""
        return self.record.metric

    @property
    def fingerprint(self) -> str:
        """Of the encoder."""
        return self.record.fingerprint

    def use(self, **settings: Any) -> None:
        """Change how the index is searched.

        Args:
            **settings: Keys of `retrieval.index`, as in `load_index`.

        Raises:
            UsageError: A key is unknown, or what it changes is part of the index.
        """
        known = IndexSection.model_fields
        for key, value in settings.items():
            if key not in known:
                raise UsageError(f"unknown key {key!r} for an index; available: {', '.join(sorted(known))}")
            passed_by, built = key == "engine" and value == "exact", getattr(self.settings, key)
            if key not in ("nprobe", "ef_search", "address") and not passed_by and value != built:
                raise UsageError(
                    f"the index in {self.folder} was built with {key} = {built!r}, found {value!r}. "
                    f"Build it again: ofakit index --vectors {self.folder}"
                )
        self.settings = IndexSection.model_validate({**self.settings.model_dump(), **settings})
        self.close()

    def check_engine(self, verify: bool = False) -> None:
        """Refuse to search with an engine whose files are damaged, or that other vectors went into.

        Args:
            verify: Compare checksums, not sizes alone.

        Raises:
            UsageError: It is so.
        """
        engine = self.record.engine
        if engine is None or self.settings.engine == "exact":
            return
        if engine.vectors != self.record.vectors_digest:
            raise UsageError(
                f"the {engine.settings.engine} index in {self.folder} was built from other vectors ({engine.vectors}) "
                f"than the directory contains now ({self.record.vectors_digest}). Build it again: ofakit index "
                "--vectors "
                f"{self.folder}"
            )
        check_files(self.folder / engine.folder, engine.files, verify)

    def expect(
        self, fingerprint: str | None = None, metric: str | None = None, encoder: Mapping[str, Any] | None = None
    ) -> IndexDirectory:
        """Refuse an index that was made with another encoder or for another metric.

        Args:
            fingerprint: Of the encoder whose vectors are going to be searched for.
            metric: The metric that they were trained for.
            encoder: Its description, or a part of it, such as {"pooling": "mean"}.

        Returns:
            The index itself.

        Raises:
            UsageError: One of them differs; the message names both fingerprints and what differs.
        """
        record = self.record
        differing = {
            key: (value, record.encoder.get(key))
            for key, value in (encoder or {}).items()
            if record.encoder.get(key) != value
        }
        if metric not in (None, record.metric):
            differing["metric"] = (metric, record.metric)
        if fingerprint not in (None, record.fingerprint) or differing:
            details = "".join(f"; {key}: expected {one!r}, found {two!r}" for key, (one, two) in differing.items())
            raise UsageError(
                f"the index in {self.folder} was made by another encoder: expected the fingerprint "
                f"{fingerprint or record.fingerprint}, found {record.fingerprint}{details}. Encode the knowledge base "
                "again"
            )
        return self

    def search(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Find the nearest vectors.

        Args:
            queries: (n, d) of the index's dimension.
            k: At least 1; more than there are vectors gives them all.

        Returns:
            Scores (n, k) float32, descending: higher is better in each metric. Ids (n, k), text. Where an approximate
            index finds fewer, the rest is -inf and "".

        Raises:
            UsageError: A query is of another dimension or not finite, or k is below 1.
        """
        scores, positions = self.search_positions(queries, k)
        return scores, self.ids.take(positions)

    def search_positions(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Find the nearest vectors, by their position.

        Args:
            queries: (n, d) of the index's dimension.
            k: At least 1; more than there are vectors gives them all.

        Returns:
            Scores (n, k) float32, descending, equal ones by position, and positions (n, k) int64. Where an approximate
            index finds fewer, the rest is -inf and -1.

        Raises:
            UsageError: A query is of another dimension or not finite, or k is below 1.
        """
        queries = self._checked(queries)
        if k < 1:
            raise UsageError(f"expected k of at least 1, found {k}")
        if not len(self):
            return np.empty((len(queries), 0), np.float32), np.empty((len(queries), 0), np.int64)
        return self.engine.search(queries, min(k, len(self)))

    @property
    def engine(self) -> IndexEngine:
        """What searches, opened when it is first needed."""
        if self._engine is None:
            folder = self.folder / (self.record.engine.folder if self.record.engine else ".")
            self._engine = INDEXES.get(self.settings.engine)(folder, self.vectors, self.settings)
        return self._engine

    def close(self) -> None:
        """Let go of what the engine has open, such as the database of Milvus Lite."""
        if self._engine is not None:
            self._engine.close()
            self._engine = None

    def _checked(self, queries: np.ndarray) -> np.ndarray:
        rows = np.ascontiguousarray(queries, np.float32)
        if rows.ndim != 2 or rows.shape[1] != self.dimension:
            raise UsageError(f"expected queries of shape (n, {self.dimension}), found {rows.shape}")
        finite = np.isfinite(rows).all(axis=1)
        if not finite.all():
            raise UsageError(f"query {int(np.argmin(finite)) + 1} of {len(rows)} has a value that is not finite")
        return rows


def _open_part(folder: Path, part: PartRecord, record: IndexRecord, verify: bool) -> tuple[np.ndarray, Ids]:
    """The vectors and ids of a part, checked."""
    where = folder / part.folder
    check_files(where, part.files, verify)
    vectors, ids = open_vectors(where / VECTORS), open_ids(where)
    expected = ((part.count, record.dimension), record.dtype, part.count)
    found = (vectors.shape, vectors.dtype.name, len(ids))
    if found != expected:
        raise UsageError(f"expected shape, type and number of ids {expected} in {where}, found {found}. Encode again")
    return vectors, ids
