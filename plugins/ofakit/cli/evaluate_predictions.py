"""Score caption files of any system: COCO results or JSON lines against COCO annotations or JSON lines.

    predictions   [{"image_id": 1, "caption": "a dog"}, ...]                  COCO results
                  {"id": "1", "caption": "a dog"}                             one line per caption
    references    {"annotations": [{"image_id": 1, "caption": "A dog."}, ...]}  COCO annotations
                  {"id": "1", "captions": ["A dog.", "The dog."]}             one line per image

Ids are compared as text, so 1 and "1" are the same image. A caption that cannot be scored is skipped and counted. Ids
that do not match are an error, so a caption is never scored against the references of another image.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from ofakit.errors import UsageError

__all__ = ["Aligned", "align", "evaluate_files", "read_own_references", "read_predictions", "read_references"]

_FORMATS = "COCO JSON or one JSON object a line, in UTF-8"
_SHOWN = 5


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
    references: Path,
    document_frequency: Path | None = None,
    bootstrap: int = 1000,
    seed: int = 0,
    java: bool = True,
) -> dict[str, Any]:
    """Score a file of predictions.

    Args:
        predictions: COCO results or JSON lines.
        references: COCO annotations or JSON lines.
        document_frequency: What `tools/data.py document-frequency` wrote, for CIDEr-D.
        bootstrap: Resamples for the 95 % confidence intervals; 0 leaves them out.
        seed: Of the resamples.
        java: Whether to compute METEOR and SPICE.

    Returns:
        The corpus scores by name (`bleu1` to `bleu4`, `rouge_l`, `cider`, `cider_d`, and `meteor` and `spice` where
        Java could compute them), `items`, `skipped` by reason, `missing` with the reason of each score that is
        missing, and `intervals` by name.

    Raises:
        UsageError: A file is missing or of another format, ids do not fit together or occur twice, or a caption is
            not a string.
    """
    from ofakit.scores import DocumentFrequency, bootstrap_intervals, measure

    if bootstrap < 0:
        raise UsageError(f"bootstrap: expected 0 or more resamples, found {bootstrap}")
    frequency = DocumentFrequency.load(document_frequency) if document_frequency else None
    aligned = align(read_predictions(predictions), read_references(references), str(predictions), str(references))
    measures, missing = measure(aligned.candidates, aligned.references, frequency, java)
    result: dict[str, Any] = {name: found.corpus for name, found in measures.items()}
    result |= {"items": len(aligned.ids), "skipped": aligned.skipped, "missing": missing}
    if bootstrap:
        intervals = bootstrap_intervals(measures, bootstrap, seed=seed)
        result["intervals"] = {name: list(interval) for name, interval in intervals.items()}
    return result


def read_predictions(path: Path) -> dict[str, str]:
    """The caption of each id.

    Args:
        path: COCO results or JSON lines.

    Raises:
        UsageError: The file is missing or of another format, an id occurs twice, or a caption is not a string.
    """
    found: dict[str, str] = {}
    for number, row in enumerate(_rows(path, "predictions"), start=1):
        name = _id(row, path, number)
        if name in found:
            raise UsageError(f"{path}: entry {number}: a second caption for id {name!r}; keep one")
        found[name] = _caption(row.get("caption"), path, number)
    return found


def read_references(path: Path) -> dict[str, list[str]]:
    """The references of each id.

    Args:
        path: COCO annotations, where each entry has one caption, or JSON lines with `captions`.

    Raises:
        UsageError: The file is missing or of another format, an id occurs twice in JSON lines, or a caption is not a
            string.
    """
    found: dict[str, list[str]] = {}
    for number, row in enumerate(_rows(path, "references"), start=1):
        name = _id(row, path, number)
        captions = row.get("captions", row.get("references"))
        if captions is None:
            found.setdefault(name, []).append(_caption(row.get("caption"), path, number))
        elif not isinstance(captions, list):
            raise UsageError(f"{path}: entry {number}: expected captions as a list of strings, found {captions!r}")
        elif name in found:
            raise UsageError(f"{path}: entry {number}: a second list of captions for id {name!r}; join the two")
        else:
            found[name] = [_caption(caption, path, number) for caption in captions]
    return found


def read_own_references(path: Path) -> dict[str, list[str]]:
    """The references that the lines of predictions contain themselves, as those of an evaluated run do.

    Args:
        path: JSON lines with `id`, `caption` and `references`.

    Raises:
        UsageError: The file is missing or of another format, or a line has no references.
    """
    found = {}
    for number, row in enumerate(_rows(path, "predictions"), start=1):
        references = row.get("references")
        if not isinstance(references, list):
            raise UsageError(
                f"{path}: entry {number}: expected references beside the caption; or pass --references FILE"
            )
        found[_id(row, path, number)] = [_caption(reference, path, number) for reference in references]
    return found


def align(
    predictions: Mapping[str, str],
    references: Mapping[str, list[str]],
    predictions_name: str = "predictions",
    references_name: str = "references",
) -> Aligned:
    """Bring captions and references into the same order, tokenized, without those that cannot be scored.

    Args:
        predictions: Caption by id.
        references: References by id.
        predictions_name: What to call the predictions in messages.
        references_name: What to call the references in messages.

    Raises:
        UsageError: A prediction has no references, or nothing is left to score.

    >>> align({"1": "A dog.", "2": "..."}, {"1": ["The dog!", ""], "2": ["A cat."], "3": ["A bird."]}).skipped
    {'without a prediction': 1, 'empty prediction': 1, 'empty reference': 1}
    """
    from ofakit.scores import ptb_tokenize

    unknown = [name for name in predictions if name not in references]
    if unknown:
        raise UsageError(
            f"{predictions_name}: {len(unknown)} of {len(predictions)} ids are not in {references_name}: "
            f"{_some(unknown)}; there the ids are such as {_some(list(references)) or 'none'}"
        )
    ids = list(predictions)
    candidates = ptb_tokenize([predictions[name] for name in ids])
    flat = iter(ptb_tokenize(list(chain.from_iterable(references[name] for name in ids))))
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
        raise UsageError(f"{predictions_name}: nothing is left to score: {skipped or 'there are no captions'}")
    if skipped:
        print(f"skipped: {', '.join(f'{number} {reason}' for reason, number in skipped.items())}", file=sys.stderr)
    return Aligned(
        [ids[i] for i in kept], [candidates[i] for i in kept], [[t for t in lists[i] if t] for i in kept], skipped
    )


def _rows(path: Path, what: str) -> Iterable[Mapping[str, Any]]:
    """The entries of a file in either format."""
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: expected {what} as {_FORMATS}, found: {error}") from error
    try:
        content = json.loads(text)
    except ValueError:
        content = [_line(line, path, n, what) for n, line in enumerate(text.split("\n"), start=1) if line.strip()]
    if isinstance(content, dict):
        content = content["annotations"] if isinstance(content.get("annotations"), list) else [content]
    if not isinstance(content, list):
        raise UsageError(f"{path}: expected {what} as {_FORMATS}, found {text[:60]!r}")
    for number, row in enumerate(content, start=1):
        if not isinstance(row, dict):
            raise UsageError(f"{path}: entry {number}: expected an object with an id and a caption, found {row!r}")
    return content


def _line(line: str, path: Path, number: int, what: str) -> Any:
    try:
        return json.loads(line)
    except ValueError as error:
        raise UsageError(f"{path}: line {number}: expected {what} as {_FORMATS}, found: {error}") from error


def _id(row: Mapping[str, Any], path: Path, number: int) -> str:
    found = row.get("image_id", row.get("id"))
    if isinstance(found, bool) or not isinstance(found, (int, str)):
        raise UsageError(f"{path}: entry {number}: expected image_id or id, a number or a string, found {dict(row)!r}")
    return str(found)


def _caption(caption: Any, path: Path, number: int) -> str:
    if not isinstance(caption, str):
        raise UsageError(f"{path}: entry {number}: expected the caption as a string, found {caption!r}")
    return caption


def _some(names: list[str]) -> str:
    return ", ".join(map(repr, names[:_SHOWN])) + (" …" if len(names) > _SHOWN else "")
