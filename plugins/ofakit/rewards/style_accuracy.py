"""1 if a classifier trained on the training captions recognises the style that was requested, else 0.

{"type": "style_accuracy", "weight": 0.5}
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ofakit.errors import UsageError
from ofakit.scores.segmentation import tokenize
from ofakit.scores.style import StyleClassifier
from ofakit.text.styles import same_style

__all__ = ["StyleAccuracyReward"]


class StyleAccuracyReward:
    """Whether a caption is in its style. Captions without a style, or of one the classifier does not know, get 0.

    Args:
        classifier: A file that `StyleClassifier.save` wrote; None trains one on what `prepare` is given.
    """

    def __init__(self, classifier: str | None = None) -> None:
        self.classifier = None if classifier is None else StyleClassifier.load(classifier)

    def prepare(self, references: Sequence[Sequence[str]], styles: Sequence[str | None]) -> None:
        """Train the classifier, unless a file holds it.

        Args:
            references: Of each training example.
            styles: Of each training example.

        Raises:
            UsageError: There are fewer than two styles, or no caption has a word.
        """
        if self.classifier is not None:
            return
        named = [(texts, same_style(style or "")) for texts, style in zip(references, styles, strict=True)]
        pairs = [(text, style) for texts, style in named if style for text in texts]
        known = sorted({style for _, style in pairs})
        if len(known) < 2:
            raise UsageError(
                f"the reward style_accuracy needs training captions in two styles or more, found {known}; remove it "
                "from the rewards, or pass a trained classifier"
            )
        captions = tokenize([text for text, _ in pairs])
        self.classifier = StyleClassifier.train(captions, [style for _, style in pairs])

    def __call__(
        self, candidates: Sequence[str], references: Sequence[Sequence[str]], styles: Sequence[str | None]
    ) -> np.ndarray:
        """The reward of each candidate, (items,) float64.

        Args:
            candidates: One caption per item.
            references: Not used.
            styles: The style each item was asked for, or None.

        Raises:
            UsageError: `prepare` was not called.
        """
        if self.classifier is None:
            raise UsageError(
                "style_accuracy has no classifier: call prepare(references, styles), or pass a classifier file"
            )
        recognised = self.classifier.predict(tokenize(list(candidates)))
        pairs = zip(map(same_style, recognised), styles, strict=True)
        return np.array([style is not None and found == same_style(style) for found, style in pairs], np.float64)
