"""The scores of an evaluation with intervals: of all captions or rankings, and of each style or searcher."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from ofakit.reports.caption_split import CaptionSplit, reported_interval
from ofakit.reports.template import Section, number, render
from ofakit.scores.score_titles import title

__all__ = ["Cell", "Table", "caption_scores", "other_scores", "plain_scores", "score_cell"]

RESAMPLES = 1000
LARGEST = 400
"""Rows of a table at most."""


class Cell(NamedTuple):
    """A number of a table.

    Attributes:
        text: The number.
        interval: Its interval, or "".
        order: What it is sorted by.
    """

    text: str
    interval: str = ""
    order: float | str = ""


class Table(NamedTuple):
    """A table.

    Attributes:
        caption: What it shows.
        head: The names of its columns; the first is that of the rows' names.
        rows: The name and the cells of each row.
        note: Stands below it.
    """

    caption: str
    head: Sequence[str]
    rows: Sequence[tuple[str, Sequence[Cell]]]
    note: str = ""


def score_cell(value: Any, interval: tuple[float, float] | None = None) -> Cell:
    """A score.

    Args:
        value: The score; anything but a number is shown as a dash.
        interval: Its 95 % interval.
    """
    text = number(value)
    bounds = "" if interval is None else f"{interval[0]:.4g} to {interval[1]:.4g}"
    return Cell(text, bounds, -1e300 if text == "–" else value)


def caption_scores(split: CaptionSplit, resamples: int = RESAMPLES) -> Section:
    """The scores of captions, and those of each style.

    Args:
        split: The captions.
        resamples: Of the bootstrap; 0 leaves intervals out.
    """
    spelled = set(split.styles.values())
    tables = [_overall(split.scores, reported_interval(split.scores, split.measures, resamples))]
    if any(name.partition("/")[0] in spelled for name in split.scores):
        tables.append(_by_style(split, resamples))
    rest = [name for name in split.scores if "/" in name and name.partition("/")[0] not in spelled]
    if rest:
        rows = [(name, [score_cell(split.scores[name])]) for name in rest]
        tables.append(Table("Scores of groups, and further metrics", ["score", "value"], rows))
    remark = _remark(split.scores)
    return Section(
        "scores", "Scores", render("tables.html", tables=[_bounded(table) for table in tables], remark=remark)
    )


def plain_scores(scores: Mapping[str, Any]) -> Section:
    """The scores of a task that is neither captioning nor retrieval.

    Args:
        scores: By name.
    """
    return Section("scores", "Scores", render("tables.html", tables=[_bounded(_overall(scores, {}, True))], remark=""))


def other_scores(splits: Mapping[str, Mapping[str, Any]]) -> Section | None:
    """The scores of the splits that a page does not show.

    Args:
        splits: Scores by split.

    Returns:
        None if there are none.
    """
    names = list(dict.fromkeys(name for scores in splits.values() for name in _of_all(scores)))
    rows = [(split, [score_cell(scores.get(name)) for name in names]) for split, scores in splits.items()]
    if not rows or not names:
        return None
    table = Table("Scores of the other splits", ["split", *map(title, names)], rows)
    return Section("other-splits", "Other splits", render("tables.html", tables=[table], remark=""))


def _of_all(scores: Mapping[str, Any], parts: bool = False) -> Iterable[str]:
    return [
        name for name, value in scores.items()
        if (value is None or (isinstance(value, int | float) and not isinstance(value, bool)))
        and (parts or "/" not in name)
    ]  # fmt: skip


def _overall(scores: Mapping[str, Any], intervals: Mapping[str, tuple[float, float]], parts: bool = False) -> Table:
    rows = [(title(name), [score_cell(scores[name], intervals.get(name))]) for name in _of_all(scores, parts)]
    note = "Small figures: 95 % bootstrap interval over the items." if intervals else ""
    return Table("Scores of the whole split", ["score", "value"], rows, note)


def _by_style(split: CaptionSplit, resamples: int) -> Table:
    """A row for each style; scores that a style lacks are dashes."""
    first = [name.partition("/")[2] for name in split.scores if name.partition("/")[0] in split.styles.values()]
    names = list(dict.fromkeys(first))
    rows = []
    for style, spelling in split.styles.items():
        own = {name: split.scores.get(f"{spelling}/{name}") for name in names}
        intervals = reported_interval(own, split.by_style.get(style, {}), resamples)
        rows.append((spelling, [score_cell(value, intervals.get(name)) for name, value in own.items()]))
    return Table("Scores of each style", ["style", *map(title, names)], rows)


def _remark(scores: Mapping[str, Any]) -> str:
    """What the numbers of the control and of the style judge say."""
    said = []
    cider, control = scores.get("cider"), scores.get("cider_shuffled")
    if isinstance(cider, int | float) and isinstance(control, int | float) and cider > 0:
        said.append(
            f"Scored against the references of other images, CIDEr is {control:.3g} instead of {cider:.3g}: "
            f"{max(0.0, 1 - control / cider):.0%} of it comes from looking at the image."
        )
    people = scores.get("style_accuracy_of_people")
    if isinstance(people, int | float) and isinstance(scores.get("style_accuracy"), int | float):
        said.append(f"The style classifier recognises the style of {people:.0%} of the human captions.")
    return " ".join(said)


def _bounded(table: Table) -> Table:
    if len(table.rows) <= LARGEST:
        return table
    return table._replace(
        rows=table.rows[:LARGEST], note=f"{table.note} {len(table.rows) - LARGEST} more are not shown."
    )
