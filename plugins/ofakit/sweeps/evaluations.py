"""What a run reports while it trains: the lines of `metrics.jsonl` that hold one number.

An experiment with stages has one such file per stage; its steps are counted through all of them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

from ofakit.config.stage_experiments import RESULT, stage_folders
from ofakit.json_text import from_json

__all__ = ["EvaluationReader"]


class EvaluationReader:
    """Reads one number of a run's `metrics.jsonl` as it is written.

    Args:
        folder: The run directory; its files may not be there yet, and a resumed run may rewrite them.
        key: The number, such as "evaluation/cider".
    """

    def __init__(self, folder: Path, key: str) -> None:
        self.folder, self.key = folder, key
        self.seen: dict[int, float] = {}
        self._states: dict[Path, tuple[int, int, int]] = {}

    def new(self) -> list[tuple[int, float]]:
        """Pairs of updates done and the number, those that were not there before, in order."""
        found = []
        for path, steps_before in self._files():
            try:
                stat = path.stat()
            except FileNotFoundError:
                continue
            state = (stat.st_ino, stat.st_size, stat.st_mtime_ns)
            if state == self._states.get(path):
                continue
            self._states[path] = state
            for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
                pair = self._read(line)
                if pair is not None and steps_before + pair[0] not in self.seen:
                    self.seen[steps_before + pair[0]] = pair[1]
                    found.append((steps_before + pair[0], pair[1]))
        return sorted(found)

    def all(self) -> tuple[tuple[int, float], ...]:
        """Every pair so far, including those that have come since the last look."""
        self.new()
        return tuple(sorted(self.seen.items()))

    def _files(self) -> Iterator[tuple[Path, int]]:
        """Each file, and how many updates the stages before it made; a stage begins when the one before is done."""
        yield self.folder / "metrics.jsonl", 0
        steps_before = 0
        for stage in stage_folders(self.folder):
            yield stage / "metrics.jsonl", steps_before
            try:
                steps_before += int(from_json((stage / RESULT).read_bytes())["steps"])
            except FileNotFoundError:
                return

    def _read(self, line: str) -> tuple[int, float] | None:
        """The pair of a line; None for a line about something else, or one that is only half written."""
        try:
            values = from_json(line)
            step, value = int(values["step"]), float(values[self.key])
        except (ValueError, KeyError, TypeError):
            return None
        return (step, value) if math.isfinite(value) else None
