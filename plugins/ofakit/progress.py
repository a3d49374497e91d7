"""Progress of long work, on stderr: one line on a terminal that other output leaves intact; a line a minute elsewhere.

    with progress_bar(len(texts), "encoding", "texts", shown=processes.is_main) as bar:
        bar.update(32)
    for batch in followed(loader, "evaluation", "batches"):
        …

A bar that begins while another stands takes its line, and gives it back at the end. While one stands, what is written
to stderr appears above it: through `sys.stderr`, warnings and the handlers of every logger included. The line is
rewritten by carriage returns alone, without colours or other codes of terminals.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Iterable, Iterator, Sized
from typing import Any, ClassVar, Protocol, TextIO, TypeVar

from tqdm import tqdm

__all__ = [
    "TOLD_BY_THE_BAR",
    "Progress",
    "ProgressLine",
    "bar_is_shown",
    "clock_time",
    "end_progress",
    "followed",
    "on_terminal",
    "progress_bar",
]

T = TypeVar("T")

TOLD_BY_THE_BAR = {"told_by_the_bar": True}
"""`extra` of log records that say what the bar of a training says, too."""

SECONDS_BETWEEN_LINES = 60.0
"""Where stderr is a file or a pipe, as in jobs of a cluster."""


class Progress(Protocol):
    """What tells how far some work is."""

    total: Any
    n: Any

    def update(self, n: float | None = 1) -> Any:
        """Count on.

        Args:
            n: How many more are done.
        """

    def close(self) -> None:
        """Take the line away."""

    def __enter__(self) -> Any: ...

    def __exit__(self, *error: Any) -> None: ...


def on_terminal() -> bool:
    """Whether stderr is a terminal whose lines can be rewritten."""
    return sys.stderr is not None and sys.stderr.isatty() and os.environ.get("TERM") != "dumb"


def bar_is_shown() -> bool:
    """Whether a bar stands on the terminal now."""
    return bool(ProgressLine.open_lines)


def progress_bar(total: int | None, title: str, unit: str, shown: bool = True) -> Progress:
    """Start to tell of some work; use it in a `with`, so that it ends with the work.

    Args:
        total: How many there are; None where nobody knows.
        title: The work, such as "encoding".
        unit: What is counted, in the plural.
        shown: Whether anything is told; of several processes the first speaks.
    """
    if shown and on_terminal():
        return ProgressLine(total=total, desc=title, unit=f" {unit}")
    return _PlainLines(total, title, unit, shown)


def followed(items: Iterable[T], title: str, unit: str, total: int | None = None, shown: bool = True) -> Iterator[T]:
    """The items, with progress.

    Args:
        items: What is worked on.
        title: As in `progress_bar`.
        unit: Likewise.
        total: How many there are; None asks the items for their length, if they know it.
        shown: As in `progress_bar`.
    """
    count = len(items) if total is None and isinstance(items, Sized) else total
    with progress_bar(count, title, unit, shown) as bar:
        for item in items:
            yield item
            bar.update(1)


def end_progress() -> None:
    """Take away every line that still stands, such as those of work that failed."""
    for line in reversed(list(ProgressLine.open_lines)):
        line.close()


def clock_time(seconds: float) -> str:
    """Seconds as people read them.

    Args:
        seconds: From 0 up.

    >>> clock_time(7.6), clock_time(83), clock_time(3 * 3600 + 62), clock_time(2 * 86400 + 3600)
    ('0:08', '1:23', '3:01:02', '2 d 1 h')
    """
    whole = round(seconds)
    if whole >= 86400:
        return f"{whole // 86400} d {whole % 86400 // 3600} h"
    minutes = f"{whole % 3600 // 60:02}:{whole % 60:02}"
    return f"{whole // 3600}:{minutes}" if whole >= 3600 else minutes.removeprefix("0")


class ProgressLine(tqdm):
    """A bar of tqdm that shares the last line of the terminal with those around it."""

    open_lines: ClassVar[list[ProgressLine]] = []
    stderr: TextIO

    def __init__(self, **settings: Any) -> None:
        self.is_hidden = False
        self.stderr = sys.stderr if not ProgressLine.open_lines else ProgressLine.open_lines[0].stderr
        if ProgressLine.open_lines:
            ProgressLine.open_lines[-1].hide()
        else:
            _write_above_bars(self.stderr)
        ProgressLine.open_lines.append(self)
        usual = {"leave": False, "dynamic_ncols": True, "position": 0, "mininterval": 0.2, "miniters": 1}
        super().__init__(**{**usual, "file": self.stderr, **settings})

    def hide(self) -> None:
        """Leave the line to another bar."""
        self.clear()
        self.is_hidden = True

    def display(self, msg: str | None = None, pos: int | None = None) -> Any:
        """Draw the line, unless another bar has it.

        Args:
            msg: As in tqdm.
            pos: Likewise.
        """
        return False if self.is_hidden else super().display(msg, pos)

    def close(self) -> None:
        """Take the line away, and give it to the bar around this one."""
        super().close()
        others = [line for line in ProgressLine.open_lines if line is not self]  # tqdm's bars are equal in one place
        if len(others) == len(ProgressLine.open_lines):
            return
        was_last = self is ProgressLine.open_lines[-1]
        ProgressLine.open_lines[:] = others
        if not others:
            _write_as_before(self.stderr)
        elif was_last:
            others[-1].is_hidden = False
            others[-1].refresh()


class _AboveBars:
    """Stands for stderr while there is a bar: whole lines are written above it."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.rest = ""

    def write(self, text: str) -> int:
        """Write the lines that are whole, and keep the rest until they are.

        Args:
            text: Any part of a text.
        """
        with ProgressLine.get_lock():
            lines, newline, self.rest = (self.rest + text).rpartition("\n")
            if newline:
                with tqdm.external_write_mode(file=self.stream, nolock=True):
                    self.stream.write(lines + newline)
                    self.stream.flush()
        return len(text)

    def flush(self) -> None:
        """Nothing to do: lines are flushed as they come, and the rest waits for its end."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


def _write_above_bars(stderr: TextIO) -> None:
    """Let all that goes to stderr go above the bar."""
    above = _AboveBars(stderr)
    sys.stderr = above
    for handler in _stream_handlers():
        if handler.stream is stderr:
            handler.setStream(above)


def _write_as_before(stderr: TextIO) -> None:
    """Give stderr back, with a line that was not ended."""
    for handler in _stream_handlers():
        if isinstance(handler.stream, _AboveBars):
            handler.setStream(stderr)
    above = sys.stderr
    if isinstance(above, _AboveBars):
        sys.stderr = stderr
        stderr.write(above.rest)


def _stream_handlers() -> Iterator[logging.StreamHandler[Any]]:
    """Those of all loggers that write to a stream of their own; others follow `sys.stderr` by themselves."""
    loggers = [logging.root, *logging.root.manager.loggerDict.values()]
    for logger in loggers:
        for handler in getattr(logger, "handlers", []):
            if isinstance(handler, logging.StreamHandler) and "stream" in vars(handler):
                yield handler


class _PlainLines:
    """Progress for logs: a line a minute."""

    def __init__(self, total: int | None, title: str, unit: str, shown: bool) -> None:
        self.total, self.title, self.unit, self.shown = total, title, unit, shown
        self.n: float = 0
        self.began = self.told = time.monotonic()

    def update(self, n: float | None = 1) -> None:
        """Count on, and tell where a minute has gone by.

        Args:
            n: How many more are done.
        """
        self.n += n or 0
        now = time.monotonic()
        if self.shown and now - self.told >= SECONDS_BETWEEN_LINES:
            self.told = now
            print(self._line(now - self.began), file=sys.stderr, flush=True)

    def _line(self, seconds: float) -> str:
        rate = self.n / seconds
        speed = f"{rate:.3g} {self.unit}/s" if rate >= 1 or not rate else f"{1 / rate:.3g} s each"
        if not self.total or not rate:
            return f"{self.title}: {self.n:,} {self.unit}, {speed}"
        left = clock_time(max(self.total - self.n, 0) / rate)
        return f"{self.title}: {self.n:,} of {self.total:,} {self.unit}, {speed}, {left} left"

    def close(self) -> None:
        """Nothing stays open."""

    def __enter__(self) -> _PlainLines:
        return self

    def __exit__(self, *error: Any) -> None:
        self.close()
