"""What an index engine is: it finds, for a query, the vectors with the highest scores.

"Higher is better" in each metric: the inner product, the cosine, and the squared Euclidean distance times -1.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path

import numpy as np

from ofakit.config.retrieval import IndexSection
from ofakit.retrieval.vector_files import Vectors

__all__ = ["IndexEngine", "normalized"]


class IndexEngine(ABC):
    """An index over the vectors of an index directory, opened to be searched.

    Args:
        folder: The engine's own folder, which `build` has filled from the same vectors and settings.
        vectors: Of the index directory.
        settings: Engine, metric and what the engine takes.
    """

    def __init__(self, folder: Path, vectors: Vectors, settings: IndexSection) -> None:
        self.folder = folder
        self.vectors = vectors
        self.settings = settings

    @classmethod
    @abstractmethod
    def build(cls, folder: Path, vectors: Vectors, settings: IndexSection) -> None:
        """Make the index.

        Args:
            folder: An empty folder, which gets its final name when this returns; so what is written need not be synced.
            vectors: Of the index directory.
            settings: Engine, metric and what the engine takes.

        Raises:
            UsageError: The settings do not fit the vectors, or something that the engine needs is missing.
        """

    @abstractmethod
    def search(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Find the nearest vectors.

        Args:
            queries: (n, d) float32, finite.
            k: From 1 to the number of vectors.

        Returns:
            Scores (n, k) float32, descending, and positions (n, k) int64; equal scores by position. Where an
            approximate index finds fewer, the rest is -inf and -1.
        """

    def close(self) -> None:
        """Let go of what is open. The engine is not used afterwards."""
        return

    @classmethod
    def discard(cls, folder: Path) -> None:
        """Remove what `build` made elsewhere, before its folder is removed.

        Args:
            folder: The engine's own folder.
        """
        return


def normalized(rows: np.ndarray) -> np.ndarray:
    """Vectors of length 1; zero vectors stay zero.

    Args:
        rows: (n, d) of any floating type.

    Returns:
        (n, d) float32.
    """
    rows = np.asarray(rows, np.float32)
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(norms > 0, norms, 1)
