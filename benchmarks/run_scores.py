"""Scores of the test splits of several runs: intervals over seeds, tests by image. For benchmarks that train arms."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from ofakit.scores import bootstrap_intervals, paired_tests, ptb_tokenize
from ofakit.scores.score import Measure
from scipy.stats import t

__all__ = ["Captions", "captions_of", "interval", "test_by_image"]


class Captions(NamedTuple):
    """Captions of the test split.

    Attributes:
        candidates: Tokenized.
        references: Tokenized, of each.
        images: What each is about.
        styles: What each was asked for.
    """

    candidates: list[str]
    references: list[list[str]]
    images: list[str]
    styles: list[str | None]


def captions_of(runs: Sequence[Path], style: str | None = None) -> Captions:
    """The captions of all runs after each other, in the same order of images and styles for each.

    Args:
        runs: Their directories, each with `eval/test.predictions.jsonl`.
        style: Only those of this style.
    """
    found = Captions([], [], [], [])
    for run in runs:
        lines = (run / "eval/test.predictions.jsonl").read_text(encoding="utf-8").splitlines()
        rows = sorted(map(json.loads, lines), key=lambda row: (row["id"], row["style"] or ""))
        rows = [row for row in rows if style is None or row["style"] == style]
        found.candidates.extend(ptb_tokenize([row["caption"] for row in rows]))
        found.references.extend(ptb_tokenize(row["references"]) for row in rows)
        found.images.extend(row["image"] for row in rows)
        found.styles.extend(row["style"] for row in rows)
    return found


def interval(values: Sequence[float], scale: float = 100.0, digits: int = 1) -> str:
    """Mean and half width of the 95 % interval (Student's t).

    Args:
        values: One a seed.
        scale: Factor of what is printed.
        digits: Behind the point.
    """
    mean = scale * statistics.mean(values)
    if len(values) < 2:
        return f"{mean:.{digits}f}"
    half = t.ppf(0.975, len(values) - 1) * scale * statistics.stdev(values) / len(values) ** 0.5
    return f"{mean:.{digits}f} ± {half:.{digits}f}"


def test_by_image(first: Measure, second: Measure, images: Sequence[str]) -> str:
    """Difference of two corpus scores, times 100, with its 95 % interval and the p of chance; images stay whole.

    Args:
        first: A measure of captions.
        second: That of the other arm.
        images: What each caption is about.
    """
    own = np.unique(images, return_inverse=True)[1]
    before, after = (np.zeros((own.max() + 1, found.statistics.shape[1])) for found in (first, second))
    np.add.at(before, own, first.statistics)
    np.add.at(after, own, second.statistics)
    found = paired_tests({"": Measure(before, first.combine)}, {"": Measure(after, second.combine)})[""]
    width = before.shape[1]
    gain = Measure(
        np.hstack((before, after)), lambda sums: second.combine(sums[:, width:]) - first.combine(sums[:, :width])
    )
    low, high = bootstrap_intervals({"": gain})[""]
    return f"{100 * found.difference:+.1f} [{100 * low:.1f}, {100 * high:.1f}] (p {found.p:.4f})"
