"""FAISS, by a factory string: Flat, IVF1024,Flat, HNSW32, PQ48, SQfp16, OPQ48,IVF4096,PQ48 and so on.

    {"retrieval": {"index": {"engine": "faiss", "factory": "IVF1024,SQfp16", "metric": "cosine", "nprobe": 32}}}

https://github.com/facebookresearch/faiss/wiki/The-index-factory says what the strings mean. The metric is always given
to FAISS, whose own default is L2 whatever the vectors were trained for; L2 distances come back negated. For the cosine
the index normalises vectors and queries itself (`L2norm`). What must be trained is trained on a sample of the vectors,
the same one each time. The index is kept in `faiss.index`, read through a memory map, and copied to the GPUs where
there are some and FAISS has its kind there.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ofakit.config.retrieval import IndexSection
from ofakit.errors import UsageError
from ofakit.files import saving
from ofakit.retrieval.indexes.base import IndexEngine
from ofakit.retrieval.vector_files import Vectors

__all__ = ["FaissIndex"]

FILE = "faiss.index"
NORMALIZE = "L2norm"


class FaissIndex(IndexEngine):
    """An index that FAISS made.

    Args:
        folder: Has `faiss.index`.
        vectors: Of the index directory.
        settings: `nprobe` and `ef_search` are taken as they are now; the rest is as the index was built.

    Raises:
        UsageError: FAISS cannot read the file.
    """

    def __init__(self, folder: Path, vectors: Vectors, settings: IndexSection) -> None:
        super().__init__(folder, vectors, settings)
        self.index = _placed(_read(folder / FILE))
        _set_search(self.index, settings)

    @classmethod
    def build(cls, folder: Path, vectors: Vectors, settings: IndexSection) -> None:
        """Train the index on a sample, add all vectors, and write `faiss.index`.

        Args:
            folder: Gets it.
            vectors: Of the index directory.
            settings: With `factory`, `metric`, `ef_construction`, `train_size` and `seed`.

        Raises:
            UsageError: FAISS does not know the factory string, or there are too few vectors for it.
            SaveError: The disk refused.
        """
        import faiss

        index = _made(vectors.dimension, settings)
        try:
            if not index.is_trained:
                index.train(_sample(vectors, settings))
            for _, block in vectors.blocks():
                index.add(np.ascontiguousarray(block, np.float32))
        except RuntimeError as error:
            raise UsageError(
                f"the factory string {settings.factory!r} does not fit {len(vectors)} vectors of {vectors.dimension} "
                f"dimensions; FAISS says: {_reason(error)}"
            ) from error
        with saving(folder / FILE), open(folder / FILE, "wb") as file:
            faiss.write_index(index, faiss.PyCallbackIOWriter(file.write))  # type: ignore[attr-defined, unused-ignore]

    def search(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Find the nearest vectors.

        Args:
            queries: (n, d) float32, finite.
            k: From 1 to the number of vectors.

        Returns:
            Scores (n, k) float32, descending, and positions (n, k) int64; equal scores by position. Where the index
            finds fewer, the rest is -inf and -1.
        """
        scores, positions = self.index.search(np.ascontiguousarray(queries, np.float32), k)
        if self.settings.metric == "l2":
            np.negative(scores, out=scores)
        absent = positions < 0
        if absent.any():
            scores[absent] = -np.inf
        tied = np.flatnonzero((scores[:, 1:] == scores[:, :-1]).any(axis=1))
        if len(tied):
            last = np.where(absent[tied], np.iinfo(np.int64).max, positions[tied])
            order = np.lexsort((last, -scores[tied]), axis=1)
            positions[tied] = np.take_along_axis(positions[tied], order, 1)
        return scores, positions


def _made(dimension: int, settings: IndexSection) -> Any:
    """An empty index of a factory string."""
    import faiss

    metric = faiss.METRIC_L2 if settings.metric == "l2" else faiss.METRIC_INNER_PRODUCT
    normalizing = settings.metric == "cosine" and not settings.factory.startswith(NORMALIZE)
    factory = f"{NORMALIZE},{settings.factory}" if normalizing else settings.factory
    try:
        index = faiss.index_factory(dimension, factory, metric)
    except RuntimeError as error:
        raise UsageError(
            f"expected a factory string of FAISS for {dimension} dimensions, such as Flat, HNSW32 or IVF1024,SQfp16, "
            f"found {settings.factory!r}; FAISS says: {_reason(error)}",
            "factory",
        ) from error
    _set(index, "efConstruction", settings.ef_construction)
    _without_polysemous(index)
    return index


def _without_polysemous(index: Any) -> None:
    """Leave out a step of PQ's training that takes most of its time and serves a kind of search that is not used."""
    import faiss

    inner = faiss.downcast_index(index)
    if isinstance(inner, faiss.IndexPreTransform):
        _without_polysemous(inner.index)
    elif isinstance(inner, faiss.IndexRefine):
        _without_polysemous(inner.base_index)
    elif hasattr(inner, "do_polysemous_training"):
        inner.do_polysemous_training = False


def _reason(error: RuntimeError) -> str:
    """What FAISS says, without the place in its source."""
    return str(error).rsplit("failed: ", 1)[-1].rsplit(": Error: ", 1)[-1].strip()


def _sample(vectors: Vectors, settings: IndexSection) -> np.ndarray:
    """Vectors to train on, (m, d) float32, in their order."""
    count = len(vectors)
    if count <= settings.train_size:
        return vectors.rows(np.arange(count))
    drawn = np.random.default_rng(settings.seed).choice(count, settings.train_size, replace=False)
    return vectors.rows(np.sort(drawn))


def _read(path: Path) -> Any:
    """Open an index; through a memory map where its vectors are not going to a GPU."""
    import faiss

    try:
        return faiss.read_index(str(path), 0 if _gpus() else faiss.IO_FLAG_MMAP_IFC)
    except RuntimeError as error:
        raise UsageError(f"expected an index of FAISS in {path}: {_reason(error)}. Build it again") from error


def _gpus() -> int:
    """How many GPUs this FAISS can use."""
    import faiss

    return getattr(faiss, "get_num_gpus", lambda: 0)()


def _placed(index: Any) -> Any:
    """The index on all GPUs, where there are some and it is of a kind that FAISS has there."""
    import faiss

    inner = faiss.downcast_index(index.index) if isinstance(index, faiss.IndexPreTransform) else index
    on_gpu = (faiss.IndexFlat, faiss.IndexIVFFlat, faiss.IndexIVFPQ, faiss.IndexIVFScalarQuantizer)
    return faiss.index_cpu_to_all_gpus(index) if _gpus() and isinstance(inner, on_gpu) else index


def _set_search(index: Any, settings: IndexSection) -> None:
    """How widely a search looks."""
    _set(index, "nprobe", settings.nprobe)
    _set(index, "efSearch", settings.ef_search)


def _set(index: Any, name: str, value: int) -> None:
    """Set a parameter of an index that has it."""
    import faiss

    space = faiss.GpuParameterSpace() if _gpus() and type(index).__name__.startswith("Gpu") else faiss.ParameterSpace()
    try:
        space.set_index_parameter(index, name, value)
    except RuntimeError as error:
        if "could not set parameter" not in str(error):
            raise
