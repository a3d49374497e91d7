"""How confident a model trained with the objective `itm` is that a text describes an image.

    matcher = ImageTextMatcher(load_bundle("work_dir/itm/best"))
    matcher.score([("dog.jpg", "a dog runs"), ("dog.jpg", "a cat sleeps")])    # (2,) float32: p(yes)

The backbone sees each image of a batch once.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ofakit.data.decoding import BadImage
from ofakit.hub import CaptionBundle
from ofakit.inference.reranking import Reranker
from ofakit.preprocessors.batches import move_batch
from ofakit.preprocessors.caption import CaptionPreprocessor
from ofakit.preprocessors.collate import Collate

__all__ = ["ImageTextMatcher"]


class ImageTextMatcher:
    """Scores pairs of an image and a text.

    Args:
        bundle: A model that was trained with the objective `itm`.
        max_length: Tokens of a text.
        batch_size: Pairs that are computed at once.

    Raises:
        UsageError: The model was trained without this objective.
    """

    def __init__(self, bundle: CaptionBundle, max_length: int = 100, batch_size: int = 64) -> None:
        self.bundle, self.batch_size = bundle, batch_size
        self.reranker = Reranker(bundle, max_length)
        self.collate = Collate(bundle.tokenizer.pad_token_id)
        self.preprocessor = CaptionPreprocessor.of(bundle)

    def score(self, pairs: Sequence[tuple[Any, str]]) -> np.ndarray:
        """The p(yes) of each pair.

        Args:
            pairs: An image (path, bytes, PIL image or array) and a text; pairs of one image are cheaper side by side.

        Returns:
            (n,) float32, in [0, 1]; NaN where the image is missing or cannot be read.
        """
        scores = np.full(len(pairs), np.nan, dtype=np.float32)
        for start in range(0, len(pairs), self.batch_size):
            self._score_batch(pairs[start : start + self.batch_size], scores[start : start + self.batch_size])
        return scores

    def _score_batch(self, pairs: Sequence[tuple[Any, str]], scores: np.ndarray) -> None:
        places: dict[Any, list[int]] = {}
        for place, (image, _) in enumerate(pairs):
            places.setdefault(str(image) if isinstance(image, str | Path) else id(image), []).append(place)
        samples, kept = [], []
        images = [pairs[rows[0]][0] for rows in places.values()]
        for rows, image, seen in zip(places.values(), images, self.preprocessor.look(images), strict=True):
            try:
                samples.append(self.preprocessor({"image": image, "style": None}, seen=seen))
            except BadImage:
                continue
            kept.append(rows)
        if not samples:
            return
        inputs = move_batch(self.collate(samples), self.bundle.model.device, self.bundle.mean_std)
        texts = [[pairs[row][1] for row in rows] for rows in kept]
        found = self.reranker(self.bundle.model, inputs, [None] * len(kept), texts)
        for rows, of_image in zip(kept, found, strict=True):
            scores[rows] = of_image
