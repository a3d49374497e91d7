"""Compare caption files of several systems: only images that every system can be scored on count."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ofakit.cli._caption_files import Matched, match, own_reference_entries, read_entries
from ofakit.cli._caption_scores import Clip, cider_notes, measures_within, parts_of
from ofakit.cli._comparison import compared, require_systems, short_names
from ofakit.cli.evaluate_predictions import Aligned, align
from ofakit.errors import UsageError

if TYPE_CHECKING:
    from ofakit.scores.score import Measure

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
    clip: Clip | None = None,
) -> dict[str, Any]:
    """Score systems on the same items and test every pair of them.

    Args:
        predictions: A file for each system.
        references: COCO annotations or JSON lines; None takes the references in the lines of the first file.
        document_frequency: What `tools/data.py document-frequency` wrote.
        rounds: Random swaps of each test.
        bootstrap: Resamples for the 95 % confidence intervals.
        seed: Of both.
        java: Whether to compute SPICE, which needs Java, and SPIDEr.
        segmentation: What a word is in a script without spaces, as in `scores.segmentation`.
        clip: For CLIPScore and RefCLIPScore; None leaves them out.

    Returns:
        `systems`: for each its `name`, `file`, `scores` and `intervals`. `tests`: for each pair `first` and `second`
        (names) and, for each measure, `difference` (second - first) and `p`. `p`: the same p by "first vs second".
        `items`, and by system `diversity` and `skipped`; `missing`, and `notes` on what is easily misread. `groups` and
        `styles`: for each part the same, where the references name groups or the captions several styles.

    Raises:
        UsageError: There are fewer than two files, one is given twice or cannot be read, or they are not of the same
            images.
    """
    from ofakit.scores import DocumentFrequency, measure, variety

    require_systems(predictions, "prediction")
    frequency = DocumentFrequency.load(document_frequency) if document_frequency else None
    systems = _align_all(predictions, references, segmentation)
    measured: list[dict[str, Measure]] = []
    missing: dict[str, str] = {}
    for path, (aligned, matched) in zip(predictions, systems, strict=True):
        measures, missed = measure(aligned.candidates, aligned.references, frequency, java)
        if clip is not None:
            measures |= clip.measures(aligned.ids, matched, [path, *([references] if references else [])])
        measured.append(measures)
        missing |= missed
    result = compared(predictions, measured, rounds, bootstrap, seed)
    first, matched = systems[0]
    parts = parts_of(matched, first.ids)
    for kind, of_kind in parts.items():
        result[kind] = {}
        for part, places in of_kind.items():
            within = [
                measures_within(places, aligned.candidates, aligned.references, measures, frequency)
                for (aligned, _), measures in zip(systems, measured, strict=True)
            ]
            result[kind][part] = {**compared(predictions, within, rounds, bootstrap, seed), "items": len(places)}
    skipped = {name: one.skipped for name, (one, _) in zip(short_names(predictions), systems, strict=True)}
    varied = {name: variety(one.candidates, one.references) for name, (one, _) in zip(skipped, systems, strict=True)}
    notes = cider_notes(first.references, parts)
    found = {"items": len(first.ids), "diversity": varied, "skipped": skipped, "missing": missing, "notes": notes}
    return {**result, **found}


def _align_all(
    predictions: Sequence[Path], references: Path | None, segmentation: str
) -> list[tuple[Aligned, Matched]]:
    """Each system's captions, tokenized and as written; only items that all can be scored on, in one order."""
    first, where = predictions[0], str(references or predictions[0])
    people = read_entries(references, "references") if references else own_reference_entries(first)
    found = {path: match(read_entries(path, "predictions"), people, str(path), where) for path in predictions}
    order = found[first].captions
    for path, matched in found.items():
        different = set(matched.captions) ^ set(order)
        if different:
            raise UsageError(
                f"{first} and {path}: expected captions of the same images; {len(different)} ids are in only one of "
                f"them, such as {min(different)[:80]!r}"
            )
    aligned = [
        align({name: matched.captions[name] for name in order}, matched.references, str(path), where, segmentation)
        for path, matched in found.items()
    ]
    common = set(aligned[0].ids).intersection(*(one.ids for one in aligned[1:]))
    if not common:
        raise UsageError("there is no image for which every system has a caption that can be scored")
    return [(_only(one, common), matched) for one, matched in zip(aligned, found.values(), strict=True)]


def _only(aligned: Aligned, ids: set[str]) -> Aligned:
    kept = [i for i, name in enumerate(aligned.ids) if name in ids]
    return Aligned(
        [aligned.ids[i] for i in kept],
        [aligned.candidates[i] for i in kept],
        [aligned.references[i] for i in kept],
        aligned.skipped,
    )
