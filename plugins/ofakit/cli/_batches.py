"""Shared by tools that ask a model about images: requests as JSON lines, and one JSON line on stdout for each."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from ofakit.cli._common import print_json
from ofakit.errors import UsageError

__all__ = ["print_results", "request_rows"]

R = TypeVar("R")


def request_rows(name: str, expected: str) -> list[dict[str, Any]]:
    """The requests in a file of JSON lines, or on stdin.

    Args:
        name: The file; "-" reads stdin.
        expected: What the lines hold, with an example, for the message.

    Raises:
        UsageError: There is no such file, it is not UTF-8, or a line is not a JSON object.
    """
    from ofakit.data.json_files import jsonl_rows

    if name != "-" and not Path(name).is_file():
        raise UsageError(f"no file {name}")
    content = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    return jsonl_rows(content, expected, name)


def print_results(
    requests: Sequence[R],
    results: Callable[[Sequence[R]], Iterable[dict[str, Any]]],
    batch_size: int,
    title: str,
    unit: str,
) -> int:
    """Compute requests batch by batch and print a line for each, with a progress bar unless stdout is a terminal.

    Args:
        requests: What is asked.
        results: Computes one batch and returns an object per request, in their order; a failed one has an "error".
        batch_size: Requests per batch.
        title: What the bar says is being done, such as "captioning".
        unit: What the bar counts, such as "captions".

    Returns:
        How many failed.
    """
    from ofakit.progress import progress_bar

    errors = 0
    # Lines that appear on the terminal show the progress themselves.
    with progress_bar(len(requests), title, unit, shown=not sys.stdout.isatty()) as bar:
        for start in range(0, len(requests), batch_size):
            batch = requests[start : start + batch_size]
            for _, line in zip(batch, results(batch), strict=True):
                errors += "error" in line
                print_json(line)
            bar.update(len(batch))
    return errors
