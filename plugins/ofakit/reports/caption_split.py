"""The captions of an evaluation with all that a report says of each: its CIDEr, and the styles recognised in it.

split = caption_split("test", rows, scores, obeys=judge_of(run))
split.cider[3], split.heard["pirate"][3]
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ofakit.data.style_names import first_spellings, same_style
from ofakit.errors import UsageError
from ofakit.reports.run_files import RunFiles, SplitFiles, located
from ofakit.scores import bootstrap_intervals, mean_of, measure, tokenize
from ofakit.scores.score import Measure

__all__ = ["Captioned", "CaptionSplit", "captioned", "is_captioning", "reported_interval"]

Obeys = Callable[[Sequence[str], Sequence[str]], Sequence[bool]]
"""From captions and the style asked of each, whether each obeys."""

RESAMPLES = 1000
_SHOWN = ("bleu1", "bleu2", "bleu3", "bleu4", "rouge_l", "cider")


@dataclass(frozen=True)
class Captioned:
    """A caption of an evaluation.

    Attributes:
        id: The example's.
        image: A path, the image itself, or None.
        style: The style asked for, or None.
        caption: What the model wrote.
        references: What people wrote.
        before_rerank: What the search put first, where hypotheses were reranked.
        p_yes: How sure the model is that the caption fits, in [0, 1], where hypotheses were reranked.
    """

    id: str
    image: Any
    style: str | None
    caption: str
    references: tuple[str, ...]
    before_rerank: str | None = None
    p_yes: float | None = None


def is_captioning(split: SplitFiles) -> bool:
    """Whether an evaluation is one of captions.

    Args:
        split: Its files.
    """
    return bool(split.rows) and "caption" in split.rows[0]


def captioned(split: SplitFiles, run: RunFiles) -> list[Captioned]:
    """The captions of a file of predictions.

    Args:
        split: Its files.
        run: Whose images they are.

    Raises:
        UsageError: A line is none of a caption.
    """
    found = []
    for place, row in enumerate(split.rows, start=1):
        caption, references, style = row.get("caption"), row.get("references", []), row.get("style")
        texts = isinstance(references, list) and all(isinstance(text, str) for text in references)
        if not isinstance(caption, str) or not texts or not (style is None or isinstance(style, str)):
            raise UsageError(
                f"{run.folder}/eval/{split.name}.predictions.jsonl:{place}: expected caption and style as strings and "
                f"references as a list of strings, found {str(dict(row))[:200]}"
            )
        before, p_yes = row.get("before_rerank"), row.get("p_yes")
        found.append(
            Captioned(
                str(row.get("id", place)),
                located(row.get("image"), run),
                style,
                caption,
                tuple(references),
                before if isinstance(before, str) else None,
                p_yes if isinstance(p_yes, float) else None,
            )  # fmt: skip
        )
    return found


@dataclass(frozen=True)
class CaptionSplit:
    """The captions of an evaluation.

    Attributes:
        name: The split.
        items: The captions.
        scores: What the evaluation itself reported, by name.
        obeys: Tells whether captions are in a style; None where nothing can.
        segmentation: What a word is in a script without spaces, as in `scores.segmentation`.
    """

    name: str
    items: Sequence[Captioned]
    scores: Mapping[str, Any]
    obeys: Obeys | None = None
    segmentation: str = "characters"

    @cached_property
    def styles(self) -> dict[str, str]:
        """The styles asked for, as they are spelled first, by what their spellings have in common."""
        return dict(sorted(first_spellings(item.style for item in self.items).items()))

    def style_of(self, item: Captioned) -> str | None:
        """The key of an item's style in `styles`; None where none was asked for.

        Args:
            item: One of the captions.
        """
        key = same_style(item.style) if item.style else None
        return key if key in self.styles else None

    @cached_property
    def scorable(self) -> list[int]:
        """The places of the items that have something to be scored against."""
        return [place for place, item in enumerate(self.items) if item.references]

    @cached_property
    def measures(self) -> dict[str, Measure]:
        """The measures of the scorable items, style accuracy among them where it can be told."""
        return self._measures(self.scorable)

    @cached_property
    def by_style(self) -> dict[str, dict[str, Measure]]:
        """The measures of the scorable items of each style; document frequencies are those of the style."""
        found = {}
        for style in self.styles:
            places = [place for place in self.scorable if self.style_of(self.items[place]) == style]
            if places:
                found[style] = self._measures(places)
        return found

    @cached_property
    def cider(self) -> np.ndarray:
        """CIDEr of each item, float64, shape (items,); NaN without a reference."""
        found = np.full(len(self.items), np.nan)
        if self.scorable:
            found[self.scorable] = self.measures["cider"].per_item
        return found

    @cached_property
    def heard(self) -> dict[str, np.ndarray]:
        """By style, whether each item is heard in it, bool, shape (items,); empty where nothing can tell."""
        if self.obeys is None or not self.items:
            return {}
        captions = [item.caption for item in self.items]
        return {
            style: np.asarray(self.obeys(captions, [spelling] * len(captions)), dtype=bool)
            for style, spelling in self.styles.items()
        }

    @cached_property
    def in_style(self) -> list[bool | None]:
        """Whether each item is in the style asked for; None where that cannot be told."""
        styles = [self.style_of(item) for item in self.items]
        return [bool(self.heard[style][place]) if style in self.heard else None for place, style in enumerate(styles)]

    def _measures(self, places: Sequence[int]) -> dict[str, Measure]:
        if not places:
            return {}
        items = [self.items[place] for place in places]
        candidates = tokenize([item.caption for item in items], self.segmentation)
        flat = iter(tokenize([text for item in items for text in item.references], self.segmentation))
        references = [[next(flat) for _ in item.references] for item in items]
        measures, _ = measure(candidates, references, java=False, meteor=False)
        found = {name: measures[name] for name in _SHOWN}
        told = [verdict for place in places if (verdict := self.in_style[place]) is not None]
        if len(told) == len(places):
            found["style_accuracy"] = mean_of(np.array(told, dtype=np.float64))
        return found


def reported_interval(
    reported: Mapping[str, Any], measures: Mapping[str, Measure], resamples: int = RESAMPLES
) -> dict[str, tuple[float, float]]:
    """The 95 % intervals of scores that were reported; of those alone that come out the same from the items.

    Args:
        reported: What an evaluation wrote, by name.
        measures: Computed from its items, by name.
        resamples: Of the bootstrap; 0 gives no interval.
    """
    same = {
        name: own
        for name, own in measures.items()
        if isinstance(reported.get(name), int | float)
        and abs(own.corpus - reported[name]) <= 1e-6 * max(1.0, own.corpus)
    }
    if not same or not resamples:
        return {}
    return {name: (low, high) for name, (low, high) in bootstrap_intervals(same, resamples).items()}
