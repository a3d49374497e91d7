"""The runs that have ended: `runs.jsonl` with one line per run, and the same as a spreadsheet in `results.csv`.

Both are replaced whole, so a kill leaves either the old or the new one; `runs.jsonl` is written first, and it counts.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

from ofakit.errors import UsageError
from ofakit.files import write_text
from ofakit.json_text import to_json
from ofakit.sweeps.record import Record

__all__ = ["Ledger"]


class Ledger:
    """The records of a sweep, on disk at all times.

    Args:
        folder: The sweep's directory.
        parameters: The dotted keys that vary, in the order of the table's columns.
        metric: What the runs are judged by.
        rule: Whether a higher or a lower value is better.

    Raises:
        UsageError: `runs.jsonl` does not hold records of runs, or a run has no such metric.
    """

    def __init__(self, folder: Path, parameters: Sequence[str], metric: str, rule: Literal["max", "min"]) -> None:
        self.lines, self.table = folder / "runs.jsonl", folder / "results.csv"
        self.parameters = list(parameters)
        self.metric, self.rule = metric, rule
        self._records: dict[int, Record] = {}
        if self.lines.exists():
            for place, line in enumerate(self.lines.read_text(encoding="utf-8").splitlines(), start=1):
                record = self._read(line, place)
                self._records[record.number] = record

    def _read(self, line: str, place: int) -> Record:
        try:
            record = Record.from_line(line)
        except (ValueError, KeyError, TypeError) as error:
            raise UsageError(
                f"{self.lines}, line {place}: not the record of a run: {error!r}; remove the line"
            ) from None
        try:
            return record.scored_by(self.metric)
        except UsageError as error:
            raise UsageError(f"{self.lines}, run {record.number}: {error}") from None

    def __iter__(self) -> Iterator[Record]:
        return iter(sorted(self._records.values(), key=lambda record: record.number))

    def __contains__(self, number: int) -> bool:
        return number in self._records

    def __len__(self) -> int:
        return len(self._records)

    def __getitem__(self, number: int) -> Record:
        return self._records[number]

    def add(self, record: Record) -> None:
        """Keep the record of a run that has ended.

        Args:
            record: Replaces an earlier one of the same number.
        """
        self._records[record.number] = record
        self.write()

    def forget_failures(self) -> None:
        """Remove failed runs, so that they are tried again."""
        self._records = {record.number: record for record in self if record.status != "failed"}
        self.write()

    def write(self) -> None:
        """Bring both files up to date."""
        write_text(self.lines, "".join(record.to_line(self.metric) + "\n" for record in self))
        write_text(self.table, self._as_table())

    def best(self) -> Record | None:
        """The best run that finished, the first of equals; None while there is none."""
        done = [(record.score, record) for record in self if record.status == "done" and record.score is not None]
        if not done:
            return None
        return (max if self.rule == "max" else min)(done, key=lambda pair: pair[0])[1]

    def _as_table(self) -> str:
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["number", *self.parameters, self.metric, "work_dir", "status", "seconds", "error"])
        for record in self:
            values = [_cell(record.parameters.get(key)) for key in self.parameters]
            rest = [record.score, record.work_dir, record.status, record.seconds, record.error]
            writer.writerow([record.number, *values, *rest])
        return text.getvalue()


def _cell(value: Any) -> str:
    """A parameter, written as for `--set`."""
    return value if isinstance(value, str) else to_json(value)
