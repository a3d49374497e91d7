"""The log of a run: to stderr at once, and to `train.log` once it is known that the run directory is this run's.

Records with `extra=progress.TOLD_BY_THE_BAR` go to the file alone while a bar on the terminal tells the same.
"""

from __future__ import annotations

import logging
import logging.handlers
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from ofakit.files import refusal, saving
from ofakit.progress import TOLD_BY_THE_BAR, bar_is_shown

__all__ = ["log_to_file", "run_logger"]


def run_logger(work_dir: str, is_main: bool) -> logging.Logger:
    """To stderr; processes other than the first only warn. The first keeps its lines for `train.log`.

    Args:
        work_dir: The run directory, which names the logger.
        is_main: Whether this is the first process.
    """
    logger = logging.getLogger(f"ofakit.{Path(work_dir).resolve()}")
    logger.propagate = False
    logger.setLevel(logging.INFO if is_main else logging.WARNING)
    _replace_handlers(logger, [_to_stderr()])
    if is_main:
        logger.addHandler(logging.handlers.MemoryHandler(capacity=1000))
    return logger


def log_to_file(logger: logging.Logger, path: Path) -> None:
    """Log to a file too, which also gets what was said before.

    Args:
        logger: From `run_logger`.
        path: The file; lines are added to it.
    """
    file = _RunFile(path, encoding="utf-8", errors="backslashreplace")
    said = [record for handler in logger.handlers for record in getattr(handler, "buffer", [])]
    _replace_handlers(logger, [_to_stderr(), file])
    for record in said:
        file.handle(record)


class _RunFile(logging.FileHandler):
    """A file that says so where the disk refuses, and is written no further; logging prints a traceback and goes on."""

    is_refused = False

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record, unless the disk has refused one.

        Args:
            record: What was said.
        """
        if not self.is_refused:
            super().emit(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 (logging's name)
        """Tell what went wrong.

        Args:
            record: What could not be written.

        Raises:
            SaveError: The disk is full or permission is missing.
        """
        error = sys.exc_info()[1]
        if refusal(error) is None or error is None:
            super().handleError(record)
            return
        self.is_refused = True
        stream, self.stream = self.stream, None
        if stream is not None:
            with suppress(OSError):
                stream.close()
        with saving(Path(self.baseFilename)):
            raise error


def _to_stderr() -> logging.Handler:
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(lambda record: not (bar_is_shown() and TOLD_BY_THE_BAR.keys() <= vars(record).keys()))
    return handler


def _replace_handlers(logger: logging.Logger, handlers: Sequence[logging.Handler]) -> None:
    for handler in list(logger.handlers):
        handler.close()
        logger.removeHandler(handler)
    for handler in handlers:
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s", "%H:%M:%S"))
        logger.addHandler(handler)
