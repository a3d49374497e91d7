"""Styles requested against styles recognised: a matrix of counts, and a verdict on each style."""

from __future__ import annotations

from typing import NamedTuple

from ofakit.reports.caption_split import CaptionSplit
from ofakit.reports.template import Section, render

__all__ = ["StyleMatrix", "style_matrix", "style_section"]

GOOD, FAIR = 0.9, 0.5


class StyleMatrix(NamedTuple):
    """How often captions of a style are heard in each.

    Attributes:
        styles: The styles, as they are spelled.
        counts: For each style asked for, how often its captions are heard in each style.
        none: For each, how many of its captions are heard in none.
        totals: For each, how many captions it has.
        several: How many captions are heard in more than one style, and so are counted more than once.
    """

    styles: list[str]
    counts: list[list[int]]
    none: list[int]
    totals: list[int]
    several: int


def style_matrix(split: CaptionSplit) -> StyleMatrix | None:
    """Count.

    Args:
        split: The captions.

    Returns:
        None where fewer than two styles were asked for, or nothing tells styles apart.
    """
    if len(split.styles) < 2 or not split.heard:
        return None
    keys = list(split.styles)
    asked = [split.style_of(item) for item in split.items]
    counts, none, totals, several = [], [], [], 0
    for style in keys:
        places = [place for place, own in enumerate(asked) if own == style]
        heard = [[bool(split.heard[other][place]) for other in keys] for place in places]
        counts.append([sum(column) for column in zip(*heard, strict=True)])
        none.append(sum(not any(row) for row in heard))
        several += sum(sum(row) > 1 for row in heard)
        totals.append(len(places))
    return StyleMatrix([split.styles[key] for key in keys], counts, none, totals, several)


def style_section(split: CaptionSplit) -> Section | None:
    """The matrix, with a verdict on each style.

    Args:
        split: The captions.

    Returns:
        None if there is no matrix.
    """
    matrix = style_matrix(split)
    if matrix is None:
        return None
    rows = []
    for place, style in enumerate(matrix.styles):
        total = matrix.totals[place]
        cells = [(count, round(10 * count / total), other == place) for other, count in enumerate(matrix.counts[place])]
        rows.append((style, cells, matrix.none[place], _verdict(matrix, place)))
    body = render("style_matrix.html", styles=matrix.styles, rows=rows, several=matrix.several)
    return Section("styles", "Styles requested and recognised", body)


def _verdict(matrix: StyleMatrix, place: int) -> tuple[str, str]:
    """Good, fair or poor, and a sentence."""
    total, right = matrix.totals[place], matrix.counts[place][place]
    share = right / total
    others = [
        (count, name)
        for other, (count, name) in enumerate(zip(matrix.counts[place], matrix.styles, strict=True))
        if other != place
    ]
    most, name = max(others)
    kind = "good" if share >= GOOD else "fair" if share >= FAIR else "poor"
    mixed = f"; recognised as {name} {most} times" if most > 0.1 * total else ""
    return kind, f"{right} of {total} in style ({share:.0%}){mixed}"
