"""What `tools/evaluate.py` and `tools/compare.py` score captions by, besides the measures of tokenized captions."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ofakit.cli._caption_files import Matched
from ofakit.cli._caption_images import find_images
from ofakit.data.expansion import is_empty
from ofakit.errors import UsageError

if TYPE_CHECKING:
    import argparse

    from ofakit.inference import ClipScorer
    from ofakit.scores.document_frequencies import DocumentFrequency
    from ofakit.scores.score import Measure

__all__ = ["Clip", "clip_of", "cider_notes", "measures_within", "parts_of"]


class Clip:
    """A CLIP for caption files.

    Args:
        path: A directory of transformers or a hub id.
        images: The folder of the images; None: where the files say.
        device: Where it computes; None takes a GPU where there is one.

    Raises:
        UsageError: It is not a CLIP.
    """

    def __init__(self, path: str, images: Path | None = None, device: str | None = None) -> None:
        from ofakit.inference import ClipScorer

        self.images = images
        self.scorer: ClipScorer = ClipScorer(path, device)

    def measures(self, ids: Sequence[str], matched: Matched, files: Sequence[Path]) -> dict[str, Measure]:
        """CLIPScore and RefCLIPScore.

        Args:
            ids: The items that are scored.
            matched: Their captions, references and names.
            files: The files that these come from.

        Raises:
            UsageError: An image is missing or cannot be read.
        """
        from ofakit.scores import mean_of

        paths = find_images({item: matched.names[item] for item in ids}, self.images, files)
        references = [[text for text in matched.references[item] if not is_empty(text)] for item in ids]
        captions = [matched.captions[item] for item in ids]
        scores = self.scorer.scores([paths[item] for item in ids], captions, references)
        return {name: mean_of(score.per_item) for name, score in scores.items()}


def clip_of(args: argparse.Namespace, device: str | None = None) -> Clip | None:
    """The CLIP that arguments name.

    Args:
        args: With `--clip` and `--images`.
        device: Where it computes.

    Raises:
        UsageError: It is not a CLIP, or there are images for none.
    """
    if args.images and not args.clip:
        raise UsageError("--images needs --clip DIR")
    return Clip(args.clip, Path(args.images) if args.images else None, device) if args.clip else None


def parts_of(matched: Matched, ids: Sequence[str]) -> dict[str, dict[str, list[int]]]:
    """The parts that items are also scored by.

    Args:
        matched: Says groups and styles.
        ids: The items that are scored.

    Returns:
        Under `groups`, if there are any, and `styles`, if there are several, the places of each part's items, by name.
    """
    found = {}
    for kind, parts in (("groups", matched.groups), ("styles", matched.styles)):
        places: dict[str, list[int]] = {}
        for place, item in enumerate(ids):
            if item in parts:
                places.setdefault(parts[item], []).append(place)
        if len(places) > (kind == "styles"):
            found[kind] = dict(sorted(places.items()))
    return found


def measures_within(
    places: Sequence[int],
    candidates: Sequence[str],
    references: Sequence[Sequence[str]],
    measures: Mapping[str, Measure],
    frequency: DocumentFrequency | None,
) -> dict[str, Measure]:
    """The measures of some of the items; CIDEr's document frequencies are those of these, as nocaps has them.

    Args:
        places: Which items.
        candidates: Of all items, tokenized.
        references: Likewise.
        measures: Of all items.
        frequency: For CIDEr-D; None takes the references of these items.
    """
    from ofakit.scores import cider, cider_d, mean_of
    from ofakit.scores.score import Measure

    kept: dict[int, Any] = {}
    for whole in measures.values():
        kept.setdefault(id(whole.statistics), whole.statistics[list(places)])
    found = {name: Measure(kept[id(whole.statistics)], whole.combine) for name, whole in measures.items()}
    own = [candidates[place] for place in places], [references[place] for place in places]
    found["cider"] = mean_of(cider(*own).per_item)
    found["cider_d"] = mean_of(cider_d(*own, frequency).per_item)
    if "spider" in found:
        found["spider"] = mean_of((found["spice"].per_item + found["cider"].per_item) / 2)
    return found


def cider_notes(references: Sequence[Sequence[str]], parts: Mapping[str, Mapping[str, Sequence[int]]]) -> list[str]:
    """Where CIDEr is 0 whatever the captions say; also told on stderr.

    Args:
        references: Of all items, tokenized.
        parts: As `parts_of`.
    """
    from ofakit.scores.cider import zero_by_nature

    whole = zero_by_nature(references)
    notes = [] if whole is None else [f"CIDEr is always 0 here, whatever the captions say: {whole}"]
    for kind, of_kind in parts.items() if whole is None else ():
        silent = [part for part, places in of_kind.items() if zero_by_nature([references[i] for i in places])]
        if silent:
            shown = ", ".join(map(repr, silent[:5])) + (" …" if len(silent) > 5 else "")
            of = f"{len(silent)} of {len(of_kind)} {kind}"
            notes.append(
                f"CIDEr of {of} is always 0, whatever the captions say, because there is only one item: {shown}"
            )
    for note in notes:
        print(f"note: {note}", file=sys.stderr)
    return notes
