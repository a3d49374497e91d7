"""CLIPScore and RefCLIPScore as a ModelScope metric: how well captions fit their images, according to CLIP.

    "evaluation": {"metrics": [{"type": "clip_score", "path": "openai/clip-vit-base-patch32"}]}

ModelScope's name for it is "ofakit-clip-score". `add` takes what the metric `caption` takes, and beside the references
a list "images": paths, bytes, PIL images or arrays.
"""

from __future__ import annotations

from modelscope.metrics.builder import METRICS

from ofakit.errors import UsageError
from ofakit.inference.clip_scorer import PROMPT, ClipScorer
from ofakit.metrics._collected import CollectedCaptions, Row
from ofakit.models.encoders.hugging_face import local_directory
from ofakit.processes import device_named

__all__ = ["ClipScoreMetric"]

_Stored = tuple[str, str | None, int, str, list[Row]]


@METRICS.register_module(module_name="ofakit-clip-score")
class ClipScoreMetric(CollectedCaptions):
    """Collects captions with their images and scores them all with CLIP at the end.

    Args:
        path: The CLIP: a directory of transformers or a hub id.
        device: Where it computes; None takes a GPU where there is one. It is there only while it scores.
        batch_size: Images or texts that are computed at once.
        prompt: What stands before every text.

    Raises:
        UsageError: There is no such directory or device.
    """

    keeps_images = True

    def __init__(self, path: str, device: str | None = None, batch_size: int = 64, prompt: str = PROMPT) -> None:
        super().__init__()
        if device is not None:
            device_named(device)  # what is wrong with it is said before anything is computed
        self.path, self.device, self.batch_size, self.prompt = str(local_directory(path)), device, batch_size, prompt

    def evaluate(self) -> dict[str, float]:
        """Score everything that was added.

        Returns:
            `clip_score`; `ref_clip_score`, where every caption has a reference; `captions` (how many were scored) and
            `skipped` (how many were not, because a row was repeated or the caption was empty).

        Raises:
            UsageError: There is nothing to score, a caption has no image, an image is missing or cannot be read, or the
                directory is not a CLIP.
        """
        rows = [row for row in self.unique() if row.caption.strip()]
        if not rows:
            raise UsageError(f"nothing to score: {len(self.rows)} captions were added, but none with words")
        without = [row.id for row in rows if row.image is None]
        if without:
            raise UsageError(
                f"CLIPScore needs the image of each caption, but {len(without)} of {len(rows)} have none, such as that "
                f"of id {without[0]!r}; pass them as `images` along with the references"
            )
        lists = [[text for text in row.references if text.strip()] for row in rows]
        scorer = ClipScorer(self.path, self.device, self.batch_size, self.prompt)
        found = scorer.scores([row.image for row in rows], [row.caption for row in rows], lists if all(lists) else None)
        scores = {name: score.corpus for name, score in found.items()}
        return {**scores, "captions": len(rows), "skipped": len(self.rows) - len(rows)}

    def __getstate__(self) -> _Stored:
        return self.path, self.device, self.batch_size, self.prompt, self.rows

    def __setstate__(self, state: _Stored) -> None:
        self.path, self.device, self.batch_size, self.prompt, rows = state
        self.rows = list(rows)
