"""An embedder without a model: vectors that depend on the text, or on the bytes of the image, and on nothing else.

Processes that tests kill import this file and no other, to start quickly.
"""

from __future__ import annotations

import hashlib
import os
import random
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
from ofakit.data.passage import Passage

WORDS = ["a", "dog", "runs", "over", "the", "green", "grass", "and", "barks", "at", "two", "men", "in", "red", "coats"]
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).resolve().parents[2]), *sys.path])}
"""For a process that imports this file as `tests.retrieval.fake_embedder`."""


def passages(count):
    """Passages of 1 to 30 words, the same ones each time."""
    generator = random.Random(5)
    return [Passage(f"p{n}", " ".join(generator.choices(WORDS, k=generator.randint(1, 30)))) for n in range(count)]


def content(folder):
    """The bytes of every file of a folder."""
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


class FakePrepared(NamedTuple):
    """An item with its length, or why it has no vector."""

    item: object
    length: int
    error: str | None = None


class FakeEmbedder:
    """Keeps the protocol of `ofakit.retrieval.Embedder`.

    Args:
        dimension: Of its vectors.
        name: Goes into its fingerprint.
        modalities: Which of text and image it looks at.

    Attributes:
        batches: The ids of every batch that it was given.
    """

    def __init__(self, dimension=8, name="fake", modalities=("text", "image")):
        self.dimension = dimension
        self.fingerprint = f"{name}-{dimension}"
        self.description = {"type": name, "pooling": "mean", "side": "passage", "modalities": list(modalities)}
        self.modalities = modalities
        self.batches = []

    def prepare(self, items):
        return [self._prepared(item) for item in items]

    def _prepared(self, item):
        if item.image is not None and "image" in self.modalities and not Path(item.image).is_file():
            return FakePrepared(item, 1, f"{item.image}: no such file")
        return FakePrepared(item, len((item.text or "").split()) + 2)

    def embed_prepared(self, prepared):
        self.batches.append([entry.item.id for entry in prepared])
        return np.stack([self.vector(entry.item) for entry in prepared])

    def vector(self, item):
        """(d,) float32."""
        content = (item.text or "").encode()
        if item.image is not None and "image" in self.modalities:
            content += Path(item.image).read_bytes()
        if item.text == "nan":
            return np.full(self.dimension, np.nan, np.float32)
        seed = int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "little")
        return np.random.default_rng(seed).standard_normal(self.dimension).astype(np.float32)
