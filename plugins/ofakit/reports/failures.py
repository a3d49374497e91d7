"""What went wrong in a run, and which data were left out."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from ofakit.reports.run_files import RunFiles
from ofakit.reports.template import Section, render

__all__ = ["failures"]

MOST = 50
_TROUBLE = re.compile(r"^\S+ (WARNING|ERROR|CRITICAL) ")


def failures(run: RunFiles, findings: Sequence[str] = ()) -> Section:
    """Examples that were left out, steps that were skipped, warnings and errors of the log.

    Args:
        run: The run.
        findings: What else was found, a sentence each.
    """
    counts = Counter(str(row.get("kind", "unknown")) for row in run.bad_examples)
    rows = [tuple(str(row.get(name) or "") for name in ("id", "image", "kind", "reason")) for row in run.bad_examples]
    log = [line for line in run.log if _TROUBLE.match(line)]
    body = render(
        "failures.html", remarks=[*_remarks(run), *findings], counts=counts.most_common(), rows=rows[:MOST],
        more_rows=max(0, len(rows) - MOST), log=log[:MOST], more_log=max(0, len(log) - MOST),
    )  # fmt: skip
    return Section("failures", "Failures and skipped data", body)


def _remarks(run: RunFiles) -> list[str]:
    bad_steps = sum(value for record in run.records if isinstance(value := record.get("bad_steps"), int))
    found = []
    if bad_steps:
        found.append(f"{bad_steps} steps were skipped because the loss or gradient was not finite.")
    if run.damaged:
        found.append(f"{run.damaged} lines of metrics.jsonl are damaged and left out of the curves.")
    if run.records and not (run.folder / "output").exists():
        found.append("The run has not finished: there is no output/ yet.")
    return found
