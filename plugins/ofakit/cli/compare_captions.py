"""Compare caption files of several systems: only images that every system can be scored on count."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ofakit.cli._caption_files import match, own_reference_entries, read_entries
from ofakit.cli._comparison import compared, require_systems, short_names
from ofakit.cli.evaluate_predictions import Aligned, align
from ofakit.errors import UsageError

__all__ = ["compare_files"]


def compare_files(
    predictions: Sequence[Path],
    references: Path | None,
    document_frequency: Path | None = None,
    rounds: int = 10_000,
    bootstrap: int = 1000,
    seed: int = 0,
    java: bool = True,
    segmentation: str = "characters",
) -> dict[str, Any]:
    """Score systems on the same items and test every pair of them.

    Args:
        predictions: A file for each system.
        references: COCO annotations or JSON lines; None takes the references in the lines of the first file.
        document_frequency: What `tools/data.py document-frequency` wrote.
        rounds: Random swaps of each test.
        bootstrap: Resamples for the 95 % confidence intervals.
        seed: Of both.
        java: Whether to compute SPICE, which needs Java.
        segmentation: What a word is in a script without spaces, as in `scores.segmentation`.

    Returns:
        `systems`: for each its `name`, `file`, `scores` and `intervals`. `tests`: for each pair `first` and `second`
        (names) and, for each measure, `difference` (second - first) and `p`. `p`: the same p by "first vs second".
        `items`, and by system `diversity` and `skipped`; `missing`.

    Raises:
        UsageError: There are fewer than two files, one is given twice or cannot be read, or they are not of the same
            images.
    """
    from ofakit.scores import DocumentFrequency, measure, variety

    require_systems(predictions, "prediction")
    frequency = DocumentFrequency.load(document_frequency) if document_frequency else None
    aligned = _align_all(predictions, references, segmentation)
    measured = [measure(one.candidates, one.references, frequency, java) for one in aligned]
    result = compared(predictions, [measures for measures, _ in measured], rounds, bootstrap, seed)
    missing = {key: reason for _, missed in measured for key, reason in missed.items()}
    skipped = {name: one.skipped for name, one in zip(short_names(predictions), aligned, strict=True)}
    names = [system["name"] for system in result["systems"]]
    varied = {name: variety(one.candidates, one.references) for name, one in zip(names, aligned, strict=True)}
    return {**result, "items": len(aligned[0].ids), "diversity": varied, "skipped": skipped, "missing": missing}


def _align_all(predictions: Sequence[Path], references: Path | None, segmentation: str) -> list[Aligned]:
    """Each system's captions beside the references; only items that every system can be scored on, in one order."""
    first, where = predictions[0], str(references or predictions[0])
    people = read_entries(references, "references") if references else own_reference_entries(first)
    found = {path: match(read_entries(path, "predictions"), people, str(path), where) for path in predictions}
    order = found[first].captions
    for path, matched in found.items():
        different = set(matched.captions) ^ set(order)
        if different:
            raise UsageError(
                f"{first} and {path}: expected captions of the same images; {len(different)} ids are in only one of "
                f"them, such as {min(different)!r}"
            )
    aligned = [
        align({name: matched.captions[name] for name in order}, matched.references, str(path), where, segmentation)
        for path, matched in found.items()
    ]
    common = set(aligned[0].ids).intersection(*(one.ids for one in aligned[1:]))
    if not common:
        raise UsageError("no image has a caption of every system that can be scored")
    return [_only(one, common) for one in aligned]


def _only(aligned: Aligned, ids: set[str]) -> Aligned:
    kept = [i for i, name in enumerate(aligned.ids) if name in ids]
    return Aligned(
        [aligned.ids[i] for i in kept],
        [aligned.candidates[i] for i in kept],
        [aligned.references[i] for i in kept],
        aligned.skipped,
    )
