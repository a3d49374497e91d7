"""The log of a run: to stderr immediately, and to `train.log` once the run directory is known to belong to this run.

Records with `extra=progress.TOLD_BY_THE_BAR` go only to the file while a progress bar on the terminal shows the same.
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
    """A logger to stderr; processes other than the first only log warnings. The first keeps its lines for `train.log`.

    Args:
        work_dir: The run directory, after which the logger is named.
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
    """Also log to a file, which starts with the earlier records.

    Args:
        logger: From `run_logger`.
        path: The file; lines are appended.
    """
    file = _RunFile(path, encoding="utf-8", errors="backslashreplace")
    said = [record for handler in logger.handlers for record in getattr(handler, "buffer", [])]
    _replace_handlers(logger, [_to_stderr(), file])
    for record in said:
        file.handle(record)


class _RunFile(logging.FileHandler):
    """A log file that reports a failure to write and then stops; logging would print a traceback and continue."""

    is_refused = False

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record, unless writing has failed before.

        Args:
            record: The record.
        """
        if not self.is_refused:
            super().emit(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 (logging's name)
        """Report the failure.

        Args:
            record: The record that could not be written.

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
