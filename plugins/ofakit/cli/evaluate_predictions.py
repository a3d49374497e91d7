"""Score caption files of any system against captions by people; `_caption_files` says which formats are read.

A caption that cannot be scored is skipped and counted. Ids that do not match are an error, so a caption is never scored
against the references of another image.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ofakit.cli._caption_files import Matched, id_of, indexed, match, own_reference_entries, read_entries
from ofakit.cli._caption_scores import Clip, cider_notes, measures_within, parts_of
from ofakit.data.expansion import is_empty
from ofakit.errors import UsageError

if TYPE_CHECKING:
    from ofakit.scores.score import Measure

__all__ = ["Aligned", "align", "evaluate_files", "read_references"]


class Aligned(NamedTuple):
    """Captions and references in the same order, tokenized.

    Attributes:
        ids: The items that are scored.
        candidates: One tokenized caption per item.
        references: The tokenized references of each.
        skipped: How many were left out for each reason that occurred.
    """

    ids: list[str]
    candidates: list[str]
    references: list[list[str]]
    skipped: dict[str, int]


def evaluate_files(
    predictions: Path,
    references: Path | None,
    document_frequency: Path | None = None,
    bootstrap: int = 1000,
    seed: int = 0,
    java: bool = True,
    segmentation: str = "characters",
    clip: Clip | None = None,
) -> dict[str, Any]:
    """Score a file of predictions.

    Args:
        predictions: Captions of a system.
        references: Captions by people; None takes those in the lines of the predictions.
        document_frequency: What `tools/data.py document-frequency` wrote, or `coco-train-words.p`, for CIDEr-D.
        bootstrap: Resamples for the 95 % confidence intervals; 0 leaves them out.
        seed: Of the resamples.
        java: Whether to compute SPICE, which needs Java, and SPIDEr.
        segmentation: What a word is in a script without spaces, as in `scores.segmentation`.
        clip: For CLIPScore and RefCLIPScore; None leaves them out.

    Returns:
        The corpus scores by name (`bleu1` to `bleu4`, `rouge_l`, `cider`, `cider_d`, `meteor`; `spice` and `spider`
        where Java could compute them; `clip_score` and `ref_clip_score` by `clip`), `items`, `skipped` by reason,
        `missing` with the reason of each score that is missing, `diversity`, `groups` and `styles` with the scores of
        each where there are several, `notes` on what is easily misread, and `intervals` by name, those of parts
        beside their scores.

    Raises:
        UsageError: A file is missing or of another format, ids do not fit together or occur twice, or a caption is
            not a string.
    """
    from ofakit.scores import DocumentFrequency, measure, variety

    if bootstrap < 0:
        raise UsageError(f"bootstrap: expected 0 or more resamples, found {bootstrap}")
    frequency = DocumentFrequency.load(document_frequency) if document_frequency else None
    matched = matched_files(predictions, references)
    aligned = align(matched.captions, matched.references, str(predictions), str(references), segmentation)
    measures, missing = measure(aligned.candidates, aligned.references, frequency, java)
    if clip is not None:
        measures |= clip.measures(aligned.ids, matched, [predictions, *([references] if references else [])])
    result: dict[str, Any] = {name: found.corpus for name, found in measures.items()}
    result |= {"items": len(aligned.ids), "skipped": aligned.skipped, "missing": missing}
    result["diversity"] = variety(aligned.candidates, aligned.references)
    parts = parts_of(matched, aligned.ids)
    result |= _by_parts(parts, aligned, measures, frequency, bootstrap, seed)
    result["notes"] = cider_notes(aligned.references, parts) + _notes(aligned, result)
    result |= _intervals(measures, bootstrap, seed)
    return result


def matched_files(predictions: Path, references: Path | None) -> Matched:
    """The captions of a file beside the references of another, or beside its own.

    Args:
        predictions: Captions of a system.
        references: Captions by people; None takes those in the lines of the predictions.

    Raises:
        UsageError: As `evaluate_files`.
    """
    captions = read_entries(predictions, "predictions")
    people = own_reference_entries(predictions) if references is None else read_entries(references, "references")
    return match(captions, people, str(predictions), str(references or predictions))


def read_references(path: Path) -> dict[str, list[str]]:
    """The references of each item.

    Args:
        path: Captions by people.

    Raises:
        UsageError: The file is missing or of another format, an item has two lists of captions, or a caption is not a
            string.
    """
    entries = read_entries(path, "references")
    kinds = [kind for kind in ("id", "name", "number") if all(kind in entry.names for entry in entries)]
    if not kinds:
        raise UsageError(f"{path}: expected references that all have an id, or all an image name")
    styled = any(entry.style for entry in entries)
    return {id_of(entry): entry.captions for entry in indexed(entries, kinds[0], styled, str(path)).values()}


def align(
    predictions: Mapping[str, str],
    references: Mapping[str, list[str]],
    predictions_name: str = "predictions",
    references_name: str = "references",
    segmentation: str = "characters",
) -> Aligned:
    """Bring captions and references into the same order, tokenized, without those that cannot be scored.

    Args:
        predictions: Caption by id.
        references: References by id.
        predictions_name: What to call the predictions in messages.
        references_name: What to call the references in messages.
        segmentation: What a word is in a script without spaces, as in `scores.segmentation`.

    Raises:
        UsageError: A prediction has no references, or nothing is left to score.

    >>> align({"1": "A dog.", "2": "..."}, {"1": ["The dog!", ""], "2": ["A cat."], "3": ["A bird."]}).skipped
    {'without a prediction': 1, 'empty prediction': 1, 'empty reference': 1}
    """
    from ofakit.scores import tokenize

    unknown = [name for name in predictions if name not in references]
    if unknown:
        raise UsageError(f"{predictions_name}: {len(unknown)} ids are not in {references_name}, such as {unknown[0]!r}")
    ids = list(predictions)
    candidates = _said(tokenize([predictions[name] for name in ids], segmentation), predictions.values())
    texts = list(chain.from_iterable(references[name] for name in ids))
    flat = iter(_said(tokenize(texts, segmentation), texts))
    lists = [[next(flat) for _ in references[name]] for name in ids]
    skipped = {
        "without a prediction": len(references) - len(ids),
        "empty prediction": candidates.count(""),
        "empty reference": sum(texts.count("") for texts in lists),
        "without a reference": sum(not any(texts) for texts in lists),
    }
    kept = [i for i in range(len(ids)) if candidates[i] and any(lists[i])]
    skipped = {reason: number for reason, number in skipped.items() if number}
    if not kept:
        raise UsageError(f"{predictions_name}: nothing left to score: {skipped or 'there are no captions'}")
    if skipped:
        print(f"skipped: {', '.join(f'{number} {reason}' for reason, number in skipped.items())}", file=sys.stderr)
    return Aligned(
        [ids[i] for i in kept], [candidates[i] for i in kept], [[t for t in lists[i] if t] for i in kept], skipped
    )


def _said(tokens: Sequence[str], texts: Any) -> list[str]:
    """The tokens of texts that say something, and nothing for those without a word, as in training."""
    return ["" if is_empty(text) else words for words, text in zip(tokens, texts, strict=True)]


def _by_parts(
    parts: Mapping[str, Mapping[str, Sequence[int]]],
    aligned: Aligned,
    measures: Mapping[str, Measure],
    frequency: Any,
    bootstrap: int,
    seed: int,
) -> dict[str, Any]:
    """Scores and intervals of the items of each part, by kind of part."""
    found: dict[str, Any] = {}
    for kind, of_kind in parts.items():
        found[kind] = {}
        for part, places in of_kind.items():
            own = measures_within(places, aligned.candidates, aligned.references, measures, frequency)
            scores = {name: measure.corpus for name, measure in own.items()}
            scores["distinct"] = len({aligned.candidates[i] for i in places})
            found[kind][part] = {**scores, "items": len(places), **_intervals(own, bootstrap, seed)}
    return found


def _intervals(measures: Mapping[str, Measure], bootstrap: int, seed: int) -> dict[str, Any]:
    """The 95 % confidence interval of each measure under `intervals`; nothing for no resamples."""
    from ofakit.scores import bootstrap_intervals

    found = bootstrap_intervals(measures, bootstrap, seed=seed) if bootstrap else {}
    return {"intervals": {name: list(interval) for name, interval in found.items()}} if bootstrap else {}


def _notes(aligned: Aligned, result: Mapping[str, Any]) -> list[str]:
    """What is easily misread; also told on stderr."""
    from ofakit.scores.diversity import one_for_many

    varied = result["diversity"]
    often = one_for_many(varied["most_frequent"], varied["most_frequent_count"], len(aligned.ids))
    notes = [often] if often else []
    for note in notes:
        print(f"note: {note}", file=sys.stderr)
    return notes
