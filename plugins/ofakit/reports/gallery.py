"""Images of an evaluation beside the captions a model wrote in each style, and those people wrote."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ofakit.data.image_keys import image_key
from ofakit.reports.caption_split import CaptionSplit
from ofakit.reports.template import Section, number, render
from ofakit.reports.thumbnails import Picture, picture

__all__ = ["Card", "Entry", "gallery", "extremes", "spread"]

MOST_REFERENCES = 5
MOST_ENTRIES = 24


class Entry(NamedTuple):
    """A caption on a card.

    Attributes:
        style: The style asked for, or "".
        caption: What the model wrote.
        cider: Its CIDEr, or a dash.
        verdict: "in style", "not in style" and what it is heard as, or "".
        tags: What filters know it by.
        references: What people wrote, some of it.
        more: How many references are not shown.
        before: What reranking replaced, or "".
    """

    style: str
    caption: str
    cider: str
    verdict: str
    tags: str
    references: Sequence[str]
    more: int
    before: str


class Card(NamedTuple):
    """An image and its captions.

    Attributes:
        picture: The image.
        entries: The captions.
        cider: The mean of their CIDEr, which cards are sorted by.
        more: How many captions are not shown.
    """

    picture: Picture
    entries: Sequence[Entry]
    cider: float
    more: int


def gallery(split: CaptionSplit, most: int) -> Section | None:
    """Images spread evenly over an evaluation, with filters by style, verdict and text.

    Args:
        split: The captions.
        most: How many images to show at most, 1 or more.

    Returns:
        None if there are no captions.
    """
    by_image: dict[str, list[int]] = {}
    for place, item in enumerate(split.items):
        by_image.setdefault(image_key(item.image) or f"no image {item.id}", []).append(place)
    if not by_image:
        return None
    groups = list(by_image.values())
    cards = [_card(split, groups[place]) for place in spread(len(groups), most)]
    filters: list[tuple[str, list[tuple[str, str]]]] = []
    if len(split.styles) > 1:
        filters.append(("Style", [(f"style-{place}", name) for place, name in enumerate(split.styles.values())]))
    if split.heard:
        filters.append(("Verdict", [("obeys", "in style"), ("strays", "not in style")]))
    sorts = [("order:1", "order of the data"), ("cider:-1", "CIDEr, best first"), ("cider:1", "CIDEr, worst first")]
    shown = f"{len(cards)} of {len(groups)} images"
    body = render("gallery.html", key="gallery-cards", cards=cards, filters=filters, sorts=sorts, shown=shown)
    return Section("gallery", "Gallery", body)


def extremes(split: CaptionSplit, most: int) -> Section | None:
    """The captions with the highest CIDEr, and those with the lowest.

    Args:
        split: The captions.
        most: How many of each to show at most.

    Returns:
        None where nothing was scored.
    """
    places = [place for place in np.argsort(-split.cider, kind="stable").tolist() if not np.isnan(split.cider[place])]
    if not places:
        return None
    half = min(most, (len(places) + 1) // 2)
    best, worst = places[:half], places[::-1][: min(most, len(places) - half)]
    parts = [
        (name, [_card(split, [place]) for place in own]) for name, own in (("Best", best), ("Worst", worst)) if own
    ]
    return Section("extremes", "Best and worst by CIDEr", render("extremes.html", parts=parts))


def spread(number_of: int, most: int) -> list[int]:
    """Places spread evenly over a list.

    Args:
        number_of: How long the list is.
        most: How many places at most.

    >>> spread(10, 5), spread(3, 60)
    ([0, 2, 4, 6, 8], [0, 1, 2])
    """
    step = max(1.0, number_of / most)
    return [int(place * step) for place in range(min(most, number_of))]


def _card(split: CaptionSplit, places: Sequence[int]) -> Card:
    scores = split.cider[list(places)]
    known = scores[~np.isnan(scores)]
    entries = [_entry(split, place) for place in places[:MOST_ENTRIES]]
    mean = float(known.mean()) if len(known) else -1.0
    return Card(picture(split.items[places[0]].image), entries, mean, len(places) - len(entries))


def _entry(split: CaptionSplit, place: int) -> Entry:
    item, style, obeys = split.items[place], split.style_of(split.items[place]), split.in_style[place]
    score: Any = float(split.cider[place])
    tags = [] if style is None else [f"style-{list(split.styles).index(style)}"]
    if obeys is not None:
        tags.append("obeys" if obeys else "strays")
    return Entry(
        split.styles[style] if style is not None else item.style or "", item.caption, number(score),
        _verdict(split, place), " ".join(tags), item.references[:MOST_REFERENCES],
        len(item.references) - len(item.references[:MOST_REFERENCES]),
        item.before_rerank if item.before_rerank not in (None, item.caption) else "",
    )  # fmt: skip


def _verdict(split: CaptionSplit, place: int) -> str:
    obeys = split.in_style[place]
    if obeys is None:
        return ""
    heard = [split.styles[style] for style, own in split.heard.items() if own[place]]
    return "in style" if obeys else f"not in style: recognised as {' and '.join(heard) or 'none'}"
