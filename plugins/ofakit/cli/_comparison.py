"""Shared by comparisons of captions and of rankings: scores, intervals, a test of every pair, names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ofakit.errors import UsageError

if TYPE_CHECKING:
    from ofakit.scores.score import Measure

__all__ = ["compared", "require_systems", "short_names"]


def compared(
    files: Sequence[Path], measured: Sequence[Mapping[str, Measure]], rounds: int, bootstrap: int, seed: int
) -> dict[str, Any]:
    """Scores of systems, and a test of every pair of them.

    Args:
        files: One of each system.
        measured: The measures of each, all of the same items in the same order.
        rounds: Random swaps of each test.
        bootstrap: Resamples for the 95 % confidence intervals.
        seed: Of both.

    Returns:
        `systems`: for each its `name`, `file`, `scores` and `intervals`. `tests`: for each pair `first` and `second`
        (names) and, for each measure, `difference` (second - first) and `p`. `p`: the same p by "first vs second".

    Raises:
        UsageError: A number is out of its range.
    """
    from ofakit.scores.uncertainty import bootstrap_intervals, paired_tests

    names = short_names(files)
    systems = []
    for name, file, measures in zip(names, files, measured, strict=True):
        intervals = {key: list(found) for key, found in bootstrap_intervals(measures, bootstrap, seed=seed).items()}
        scores = {key: found.corpus for key, found in measures.items()}
        systems.append({"name": name, "file": str(file), "scores": scores, "intervals": intervals})
    tests: list[dict[str, Any]] = []
    for (first, ours), (second, theirs) in combinations(zip(names, measured, strict=True), 2):
        outcomes = {key: found._asdict() for key, found in paired_tests(ours, theirs, rounds, seed).items()}
        tests.append({"first": first, "second": second, "measures": outcomes})
    chances = {
        f"{test['first']} vs {test['second']}": {key: found["p"] for key, found in test["measures"].items()}
        for test in tests
    }
    return {"systems": systems, "tests": tests, "p": chances}


def require_systems(files: Sequence[Path], noun: str) -> None:
    """Refuse what cannot be compared.

    Args:
        files: One of each system.
        noun: What such a file is, such as "run".

    Raises:
        UsageError: There are fewer than two files, or one is given twice.
    """
    if len(files) < 2:
        raise UsageError(f"expected two {noun} files or more, found {len(files)}")
    again = next((path for path in files if files.count(path) > 1), None)
    if again is not None:
        raise UsageError(f"{again} is given twice; name each system's {noun}s once")


def short_names(paths: Sequence[Path]) -> list[str]:
    """Names of systems from their files: what differs in the paths, without the extension where that is enough.

    Args:
        paths: The files.

    >>> short_names([Path("runs/a/test.json"), Path("runs/b/test.json")])
    ['a/test', 'b/test']
    >>> short_names([Path("x/a.json"), Path("b.json")])
    ['a', 'b']
    """
    for length in range(1, max(len(path.parts) for path in paths) + 1):
        names = ["/".join([*path.parts[-length:-1], path.stem]) for path in paths]
        if len(set(names)) == len(names):
            return names
    return [f"{path.stem} ({number})" for number, path in enumerate(paths, start=1)]
