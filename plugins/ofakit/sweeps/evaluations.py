"""What a run says of itself while it trains: the lines of `metrics.jsonl` that hold one number."""

from __future__ import annotations

import json
import math
from pathlib import Path

__all__ = ["EvaluationReader"]


class EvaluationReader:
    """Reads a number of `metrics.jsonl` as it comes.

    Args:
        path: The file; it may not be there yet. A resumed run may write it anew.
        key: The number, such as "evaluation/cider".
    """

    def __init__(self, path: Path, key: str) -> None:
        self.path, self.key = path, key
        self.seen: dict[int, float] = {}
        self._state: tuple[int, int, int] | None = None

    def new(self) -> list[tuple[int, float]]:
        """Pairs of updates done and the number that were not there before, in order."""
        try:
            stat = self.path.stat()
        except FileNotFoundError:
            return []
        state = (stat.st_ino, stat.st_size, stat.st_mtime_ns)
        if state == self._state:
            return []
        self._state = state
        found = []
        for line in self.path.read_text(encoding="utf-8", errors="replace").splitlines():
            pair = self._read(line)
            if pair is not None and pair[0] not in self.seen:
                self.seen[pair[0]] = pair[1]
                found.append(pair)
        return sorted(found)

    def all(self) -> tuple[tuple[int, float], ...]:
        """Every pair so far, those that have come since the last look too."""
        self.new()
        return tuple(sorted(self.seen.items()))

    def _read(self, line: str) -> tuple[int, float] | None:
        """The pair of a line; None for one of something else, or one that is only half written."""
        try:
            values = json.loads(line)
            step, value = int(values["step"]), float(values[self.key])
        except (ValueError, KeyError, TypeError):
            return None
        return (step, value) if math.isfinite(value) else None
