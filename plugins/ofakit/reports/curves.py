"""Curves of every number that runs logged, from the lines of `metrics.jsonl`.

Numbers of one name stand in one chart: `evaluation/cider` with `evaluation/pirate/cider`, and of retrieval
`evaluation/mrr@100` with that of every searcher.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ofakit.reports.line_chart import Line, line_chart
from ofakit.reports.template import Section, render

__all__ = ["Charts", "charts_of", "curves", "curves_of_runs"]

ALL = "all"
MOST_CHARTS = 80

Records = Sequence[Mapping[str, Any]]
Charts = dict[str, dict[str, list[tuple[float, float | None]]]]
"""By the chart's name and the line's, (step, number) in order."""


def curves(records: Records, key: str = "curves", title: str = "Curves") -> Section | None:
    """A chart of every number that was logged.

    Args:
        records: The lines of `metrics.jsonl`.
        key: The section's anchor.
        title: The section's heading.

    Returns:
        None where nothing was logged.
    """
    charts = charts_of(records)
    drawn = {name: [Line(line, points) for line, points in lines.items()] for name, lines in charts.items()}
    return _section(drawn, key, title)


def curves_of_runs(runs: Mapping[str, Records]) -> Section | None:
    """The same of several runs, a line for each; of numbers that a run has by style or searcher the overall one.

    Args:
        runs: The lines of `metrics.jsonl` by run.
    """
    drawn: dict[str, list[Line]] = {}
    for run, records in runs.items():
        for name, lines in charts_of(records).items():
            if ALL in lines:
                drawn.setdefault(name, []).append(Line(run, lines[ALL]))
    return _section(drawn, "curves", "Curves")


def charts_of(records: Records) -> Charts:
    """What is drawn: the numbers of training first, then those of evaluations.

    Args:
        records: The lines of `metrics.jsonl`.

    >>> charts_of([{"step": 1, "loss": 2.0}, {"step": 2, "evaluation/cider": 0.5, "evaluation/happy/cider": None}])
    {'loss': {'all': [(1, 2.0)]}, 'evaluation: cider': {'all': [(2, 0.5)], 'happy': [(2, None)]}}
    """
    training: Charts = {}
    evaluation: Charts = {}
    for record in records:
        for name, value in _numbers(record):
            chart, line = _place(name)
            kind = evaluation if name.startswith("evaluation/") else training
            kind.setdefault(chart, {}).setdefault(line, []).append((record["step"], value))
    return training | evaluation


def _numbers(record: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, float | None]]:
    """Every number of a line and its name; None if there is no number to give."""
    for name, value in record.items():
        if not before and name in ("step", "epoch"):
            continue
        if isinstance(value, Mapping):
            yield from _numbers(value, f"{before}{name}/")
        elif value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
            yield f"{before}{name}", value


def _place(name: str) -> tuple[str, str]:
    """The chart and the line of a number."""
    is_evaluation = name.startswith("evaluation/")
    *middle, last = name.removeprefix("evaluation/").split("/")
    if middle and middle[0] == "fitted":
        middle, last = [last], "/".join(middle)
    return (f"evaluation: {last}" if is_evaluation else last), "/".join(middle) or ALL


def _section(drawn: Mapping[str, Sequence[Line]], key: str, title: str) -> Section | None:
    if not drawn:
        return None
    shown = list(drawn.items())[:MOST_CHARTS]
    charts = [line_chart(name, lines) for name, lines in shown]
    return Section(key, title, render("curves.html", charts=charts, left_out=len(drawn) - len(shown)))
