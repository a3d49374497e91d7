"""Decides which style a caption of a finished run is in: by the data set's own rule, or the run's classifier."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence

from ofakit.data.readers import READERS
from ofakit.data.style_names import same_style
from ofakit.reports.run_files import RunFiles
from ofakit.scores import StyleClassifier, tokenize

__all__ = ["judge_of"]


def judge_of(run: RunFiles) -> Callable[[Sequence[str], Sequence[str]], Sequence[bool]] | None:
    """What the run's style accuracy was told by.

    Args:
        run: Names its reader, and may hold `style_classifier.npz`.

    Returns:
        From captions and the style asked of each, whether each obeys; None if the run has nothing to tell by.

    Raises:
        UsageError: The classifier's file is damaged.
    """
    data = run.config.get("data")
    reader = data.get("reader") if isinstance(data, dict) else None
    kind = reader.get("type") if isinstance(reader, dict) else None
    if kind in READERS.names() and isinstance(
        inspect.getattr_static(READERS.get(kind), "obeys_style", None), staticmethod
    ):
        rule = READERS.get(kind).obeys_style
        return lambda captions, styles: [*map(rule, captions, styles)]
    folders = (run.folder, *(stage.folder for stage in reversed(run.stages)))
    files = (folder / "style_classifier.npz" for folder in folders)
    file = next((file for file in files if file.is_file()), None)
    if file is None:
        return None
    classifier = StyleClassifier.load(file)

    def obeys(captions: Sequence[str], styles: Sequence[str]) -> list[bool]:
        found = classifier.predict(tokenize(list(captions)))
        return [own == same_style(style) for own, style in zip(found, styles, strict=True)]

    return obeys
