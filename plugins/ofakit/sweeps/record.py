"""The record of a run that has ended, and where in its result the metric is."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from ofakit.errors import UsageError, did_you_mean
from ofakit.json_text import from_json, to_json

__all__ = ["Record", "number_at", "parse_result"]


@dataclass(frozen=True)
class Record:
    """A run that has ended.

    Attributes:
        number: From 0.
        parameters: Its own parameters, by dotted key.
        status: "done", "pruned" (ended early because it was hopeless) or "failed".
        work_dir: Its run directory.
        seconds: Wall time since it was last started.
        result: The last line of its stdout, if it is done.
        evaluations: Pairs of updates done and the metric, as they came in during training.
        error: Why it failed.
        score: The metric: from the result if it is done, from the last evaluation if it was pruned.
    """

    number: int
    parameters: dict[str, Any]
    status: Literal["done", "pruned", "failed"]
    work_dir: str
    seconds: float
    result: dict[str, Any] | None = None
    evaluations: tuple[tuple[int, float], ...] = ()
    error: str | None = None
    score: float | None = field(default=None, compare=False)

    def scored_by(self, metric: str) -> Record:
        """The same run, judged by a metric.

        Args:
            metric: A key of the result; dotted for a nested one.

        Raises:
            UsageError: The result has no such number.
        """
        if self.status == "done":
            return replace(self, score=number_at(self.result or {}, metric))
        if self.status == "pruned" and self.evaluations:
            return replace(self, score=self.evaluations[-1][1])
        return replace(self, score=None)

    def summary(self, metric: str) -> dict[str, Any]:
        """What the sweep prints about the run.

        Args:
            metric: The name to give the score.
        """
        shown = {
            "number": self.number,
            "parameters": self.parameters,
            metric: self.score,
            "work_dir": self.work_dir,
            "status": self.status,
            "seconds": self.seconds,
        }
        return shown if self.error is None else {**shown, "error": self.error}

    def to_line(self, metric: str) -> str:
        """The run as a line of `runs.jsonl`.

        Args:
            metric: The name to give the score.
        """
        rest = {"result": self.result, "evaluations": self.evaluations}
        return to_json({**self.summary(metric), **rest})

    @classmethod
    def from_line(cls, line: str) -> Record:
        """The run that a line of `runs.jsonl` describes, not yet scored.

        Args:
            line: From `to_line`.
        """
        values = from_json(line)
        keys = ("number", "parameters", "status", "work_dir", "seconds", "result", "error")
        evaluations = tuple((int(step), float(value)) for step, value in values["evaluations"])
        return cls(**{key: values.get(key) for key in keys}, evaluations=evaluations)


def number_at(result: Mapping[str, Any], metric: str) -> float:
    """A number of a result.

    Args:
        result: The last line of a run.
        metric: Its key; dotted for a nested one, with positions in lists: "stages.-1.cider".

    Raises:
        UsageError: There is none, or it is not a finite number.

    >>> number_at({"stages": [{"cider": 0.5}, {"cider": 0.75}]}, "stages.-1.cider")
    0.75
    """
    value: Any = result
    for part in metric.split(".") if metric not in result else [metric]:
        try:
            value = value[int(part)] if isinstance(value, list) else value[part]
        except (KeyError, IndexError, ValueError, TypeError):
            raise UsageError(f"the result has no {metric!r}: {did_you_mean(metric, _numbers(result))}") from None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise UsageError(f"expected {metric!r} of the result to be a finite number, found {value!r}")
    return value


def _numbers(value: Any, above: str = "") -> list[str]:
    """The dotted keys of all numbers in a result."""
    if isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        return [name for key, inner in items for name in _numbers(inner, f"{above}.{key}" if above else str(key))]
    return [above] if isinstance(value, int | float) and not isinstance(value, bool) else []


def parse_result(stdout: Path) -> dict[str, Any]:
    """The JSON object that a tool printed last of all.

    Args:
        stdout: The file that holds what it printed.

    Raises:
        UsageError: The last line is something else.
    """
    text = stdout.read_text(encoding="utf-8", errors="replace").rstrip()
    line = text.rpartition("\n")[2]
    try:
        result = from_json(line)
    except UsageError:
        result = None
    if not isinstance(result, dict):
        raise UsageError(f"expected one JSON object as the last line of stdout, found {line[:200]!r}")
    return result
