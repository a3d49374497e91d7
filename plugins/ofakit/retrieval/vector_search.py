"""Vectors of a base, searched exactly in memory or through an engine: what an evaluation of a training run does.

Items are encoded in the order of their length, so that little is padded; processes share them, and each gets all. What
has to last, or outgrows memory, is encoded into an index directory instead (`ofakit.retrieval.encoding`), and so is
what an engine shall search.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ofakit.data.passage import Passage
from ofakit.data.passage_base import Chosen, PassageTexts
from ofakit.errors import ModelNotFinite
from ofakit.inference.embedder import Embedder
from ofakit.progress import progress_bar
from ofakit.retrieval.index_building import build_engine, write_index
from ofakit.retrieval.index_directory import IndexDirectory, load_index
from ofakit.retrieval.searchers.base import SearchContext

__all__ = ["Embedded", "IndexedVectors", "VectorSearch", "embed_all", "search_of"]

logger = logging.getLogger(__name__)

_BLOCK = 1 << 24
_WINDOW = 2048


class Embedded(NamedTuple):
    """The vectors of many items.

    Attributes:
        places: (n,) int64, which items have a vector, in their order; the others could not be read.
        vectors: (n, d) float32.
    """

    places: np.ndarray
    vectors: np.ndarray


class VectorSearch:
    """Exact search of vectors in memory.

    Args:
        vectors: (n, d) float32.
        metric: `ip`, `cosine`, or `l2`, which is the negated squared distance: higher is better in each.
    """

    def __init__(self, vectors: np.ndarray, metric: str = "ip") -> None:
        self.metric = metric
        self.vectors = _of_length_one(vectors) if metric == "cosine" else vectors
        self.squares = (vectors.astype(np.float64) ** 2).sum(1) if metric == "l2" else None

    def search(self, asked: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """The most similar vectors.

        Args:
            asked: (m, d) float32.
            k: How many at most.

        Returns:
            Scores, float64, and rows, int64, each (m, min(k, n)), best first; equal scores in the order of the rows.

        >>> VectorSearch(np.eye(3, dtype=np.float32)).search(np.array([[0, 1, 0.5]], np.float32), 2)[1].tolist()
        [[1, 2]]
        """
        k = min(k, len(self.vectors))
        scores, rows = np.empty((len(asked), k)), np.empty((len(asked), k), np.int64)
        step = max(1, _BLOCK // max(1, len(self.vectors)))
        for start in range(0, len(asked), step):
            for place, own in enumerate(self._similarities(asked[start : start + step]), start):
                rows[place] = _best(own, k)
                scores[place] = own[rows[place]]
        return scores, rows

    def _similarities(self, asked: np.ndarray) -> np.ndarray:
        """(m, n), higher is better."""
        asked = _of_length_one(asked) if self.metric == "cosine" else asked
        products = asked @ self.vectors.T
        if self.squares is None:
            return products
        return 2 * products - self.squares - (asked.astype(np.float64) ** 2).sum(1, keepdims=True)


class IndexedVectors:
    """Search through the engine of an index directory.

    Args:
        index: The directory, opened.
        kept: What has to live as long, such as the temporary folder that it stands in.
    """

    def __init__(self, index: IndexDirectory, kept: Any = None) -> None:
        self.index = index
        self.kept = kept

    def search(self, asked: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """The most similar vectors.

        Args:
            asked: (m, d) float32.
            k: How many at most.

        Returns:
            Scores, and rows, int64, each (m, min(k, n)), best first; -1 where an approximate engine finds fewer.
        """
        scores, rows = self.index.search_positions(asked, k)
        return scores.astype(np.float64), rows


def search_of(
    embedder: Embedder, items: Sequence[Passage], context: SearchContext, metric: str
) -> tuple[np.ndarray, VectorSearch | IndexedVectors]:
    """Encode items for the engine that `retrieval.index` names.

    Args:
        embedder: Of passages.
        items: What gets a vector each.
        context: Says batches, processes, engine, and the folder of indexes; None there takes a temporary one.
        metric: `ip`, `cosine` or `l2`.

    Returns:
        Which items have a vector, (n,) int64, and what searches them by their place among these.

    Raises:
        ModelNotFinite: A vector is not finite.
        UsageError: The engine refuses its settings.
    """
    embedded, section = embed_all(embedder, items, context), context.section.index
    if section.engine == "exact":
        return embedded.places, VectorSearch(embedded.vectors, metric)
    temporary = tempfile.TemporaryDirectory(prefix="ofakit-") if context.folder is None else None
    folder = Path(temporary.name if temporary else str(context.folder)) / f"{embedder.side}-{embedder.fingerprint}"
    if context.processes is None or context.processes.is_main or temporary is not None:
        ids = PassageTexts(Chosen(items, embedded.places), lambda passage: passage.id)
        write_index(folder, embedded.vectors, ids, fingerprint=embedder.fingerprint, metric=metric, dtype=section.dtype)
        build_engine(folder, section.model_copy(update={"metric": metric}))
    if context.processes is not None:
        context.processes.wait()
    return embedded.places, IndexedVectors(load_index(folder), temporary)


def embed_all(embedder: Embedder, items: Sequence[Any], context: SearchContext) -> Embedded:
    """The vectors of many items; every process computes a share and gets all.

    Args:
        embedder: One side of a retriever.
        items: Queries or passages; those whose image cannot be read are left out with a warning.
        context: Says batches and processes.

    Raises:
        ModelNotFinite: A vector is not finite.
    """
    processes = context.processes
    rank, world_size = (0, 1) if processes is None else (processes.rank, processes.world_size)
    own = range(rank, len(items), world_size)
    vectors = np.full((len(own), embedder.dimension), np.nan, np.float32)
    errors: dict[int, str] = {}
    with progress_bar(len(own), f"encoding {embedder.side}", "items", shown=rank == 0) as bar:
        for start in range(0, len(own), _WINDOW):
            window = own[start : start + _WINDOW]
            found = _embed_window(embedder, [items[place] for place in window], vectors[start:], context.batch_size)
            errors |= {window[row]: reason for row, reason in found.items()}
            bar.update(len(window))
    shares = [(vectors, errors)] if processes is None else processes.gather((vectors, errors))
    joined = np.empty((len(items), embedder.dimension), np.float32)
    for other, (share, _) in enumerate(shares):
        joined[other::world_size] = share
    broken = {place: reason for _, found in shares for place, reason in found.items()}
    return _checked(embedder, items, joined, broken)


def _embed_window(embedder: Embedder, items: Sequence[Any], vectors: np.ndarray, batch_size: int) -> dict[int, str]:
    """Fill the vectors of some items; gives the reasons of those that cannot be read, by their row."""
    prepared = embedder.prepare(items)
    usable = [place for place, entry in enumerate(prepared) if entry.error is None]
    usable.sort(key=lambda place: (prepared[place].length, place))
    for start in range(0, len(usable), batch_size):
        places = usable[start : start + batch_size]
        vectors[places] = embedder.embed_prepared([prepared[place] for place in places])
    return {row: str(entry.error) for row, entry in enumerate(prepared) if entry.error is not None}


def _checked(embedder: Embedder, items: Sequence[Any], vectors: np.ndarray, broken: dict[int, str]) -> Embedded:
    """The vectors that there are; all of them must be finite."""
    if broken:
        first = next(iter(broken))
        logger.warning(
            "left out %d of %d %s texts or images, such as that of %r: %s",
            len(broken), len(items), embedder.side, items[first].id, broken[first],
        )  # fmt: skip
    kept = np.delete(np.arange(len(items)), list(broken))
    finite = np.isfinite(vectors[kept]).all(1)
    if not finite.all():
        worst = items[kept[int(finite.argmin())]]
        raise ModelNotFinite(
            f"the vector of {embedder.side} {worst.id!r} is not finite; the encoder's weights are damaged"
        )
    return Embedded(kept, vectors[kept])


def _best(scores: np.ndarray, k: int) -> np.ndarray:
    """The places of the k highest scores, best first, equal ones in order."""
    if k == 0:
        return np.zeros(0, np.int64)
    if k < len(scores):
        least = np.partition(scores, len(scores) - k)[len(scores) - k]
        chosen = np.flatnonzero(scores >= least)  # more than k where some equal the least
    else:
        chosen = np.arange(len(scores))
    return chosen[np.argsort(-scores[chosen], kind="stable")][:k]


def _of_length_one(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
