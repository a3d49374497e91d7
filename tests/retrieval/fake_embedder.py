"""An embedder without a model: vectors that depend on the text, or on the bytes of the image, and on nothing else."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
from ofakit.data.decoding import BadImage


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

    def lengths(self, items):
        return [len((item.text or "").split()) + 2 if item.text else 1 for item in items]

    def embed(self, items):
        self.batches.append([item.id for item in items])
        return np.stack([self.vector(item) for item in items])

    def vector(self, item):
        """(d,) float32."""
        content = (item.text or "").encode()
        if item.image is not None and "image" in self.modalities:
            if not Path(item.image).is_file():
                raise BadImage(str(item.image), "no such file")
            content += Path(item.image).read_bytes()
        if item.text == "nan":
            return np.full(self.dimension, np.nan, np.float32)
        seed = int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "little")
        return np.random.default_rng(seed).standard_normal(self.dimension).astype(np.float32)
