"""How varied captions are: how many differ, and which are repeated for many images."""

from __future__ import annotations

from collections import Counter

from ofakit.reports.caption_split import CaptionSplit
from ofakit.reports.score_tables import Cell, Table
from ofakit.reports.template import Section, render

__all__ = ["distinct_captions"]

MOST = 15


def distinct_captions(split: CaptionSplit) -> Section | None:
    """Count captions.

    Args:
        split: The captions.

    Returns:
        None if there are no captions.
    """
    if not split.items:
        return None
    styles = list(split.styles.items()) if len(split.styles) > 1 else []
    rows = []
    for style, name in [(None, "all"), *styles]:
        own = [item.caption for item in split.items if style is None or split.style_of(item) == style]
        counts = Counter(own)
        most = counts.most_common(1)[0][1]
        cells = [Cell(f"{len(counts):,}", "", len(counts)), Cell(f"{len(own):,}", "", len(own))]
        rows.append((name, [*cells, Cell(f"{most:,} times ({most / len(own):.0%})", "", most)]))
    head = ["captions", "different", "in all", "the most frequent one"]
    frequent = [
        (text, count) for text, count in Counter(item.caption for item in split.items).most_common(MOST) if count > 1
    ]
    body = render("distinct.html", tables=[Table("Distinct captions", head, rows)], frequent=frequent)
    return Section("distinct", "Distinct captions", body)
