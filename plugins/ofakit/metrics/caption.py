"""Caption scores as a ModelScope metric: BLEU, ROUGE-L, CIDEr, CIDEr-D, METEOR, on demand SPICE and style accuracy.

    "evaluation": {"metrics": [{"type": "caption", "java": true}]}

ModelScope's name for it is "ofakit-caption".

`add` takes a batch: outputs {"captions": [str, ...]} and inputs {"references": [[str, ...], ...]}, with lists "ids" and
"styles" beside the references if there are any.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from modelscope.metrics.builder import METRICS

from ofakit.errors import UsageError
from ofakit.metrics._collected import CollectedCaptions, Row
from ofakit.scores import DocumentFrequency, StyleClassifier, measure, style_accuracy, tokenize

__all__ = ["CaptionMetric"]

logger = logging.getLogger(__name__)


_Stored = tuple[str | Path | None, str | Path | None, bool, str, list[Row]]


@METRICS.register_module(module_name="ofakit-caption")
class CaptionMetric(CollectedCaptions):
    """Collects captions with their references and scores them all at the end.

    Args:
        document_frequency: File of document frequencies for CIDEr-D; without it those of the references are used.
        style_classifier: File of a style classifier; with it the style accuracy of the captions that have a style is
            given, beside that of people.
        java: Whether to compute SPICE, which needs Java; it is left out where it cannot be computed.
        segmentation: What a word is in a script without spaces: a character, what jieba says, or what stands between
            spaces, as `characters`, `words` or `spaces`.
    """

    def __init__(
        self,
        document_frequency: str | Path | None = None,
        style_classifier: str | Path | None = None,
        java: bool = False,
        segmentation: str = "characters",
    ) -> None:
        super().__init__()
        self.document_frequency = document_frequency
        self.style_classifier = style_classifier
        self.java = java
        self.segmentation = segmentation

    def evaluate(self) -> dict[str, float]:
        """Score everything that was added.

        Returns:
            The corpus scores by name, `captions` (how many were scored) and `skipped` (how many were not, because a
            row was repeated, the caption was empty, or it had no reference).

        Raises:
            UsageError: There is nothing to score, or the classifier does not know a style.
        """
        rows = self.unique()
        candidates = tokenize([row.caption for row in rows], self.segmentation)
        flat = iter(tokenize([text for row in rows for text in row.references], self.segmentation))
        references = [[text for text in [next(flat) for _ in row.references] if text] for row in rows]
        kept = [i for i in range(len(rows)) if candidates[i] and references[i]]
        if not kept:
            raise UsageError(
                f"nothing to score: {len(self.rows)} captions were added, but none with words and references"
            )
        frequency = DocumentFrequency.load(self.document_frequency) if self.document_frequency else None
        candidates = [candidates[i] for i in kept]
        measures, missing = measure(candidates, [references[i] for i in kept], frequency, self.java)
        for name, reason in missing.items():
            if self.java or name == "meteor":
                logger.warning("%s is left out: %s", name, reason)
        scores = {name: found.corpus for name, found in measures.items()}
        scores |= self._style_accuracy(candidates, [rows[i].style for i in kept])
        return {**scores, "captions": len(kept), "skipped": len(self.rows) - len(kept)}

    def _style_accuracy(self, candidates: Sequence[str], styles: Sequence[str | None]) -> dict[str, float]:
        """That of the captions with a style, and of people; nothing without such captions or a classifier."""
        pairs = [(text, style) for text, style in zip(candidates, styles, strict=True) if style and style.strip()]
        if not self.style_classifier or not pairs:
            return {}
        classifier = StyleClassifier.load(self.style_classifier)
        found = style_accuracy([text for text, _ in pairs], [style for _, style in pairs], classifier)
        return {"style_accuracy": found.corpus, "style_accuracy_of_people": found.human}

    def __getstate__(self) -> _Stored:
        return self.document_frequency, self.style_classifier, self.java, self.segmentation, self.rows

    def __setstate__(self, state: _Stored) -> None:
        self.document_frequency, self.style_classifier, self.java, self.segmentation, rows = state
        self.rows = list(rows)
