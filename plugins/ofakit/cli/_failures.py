"""One sentence for failures of the machine: a process, a folder or a reader of the output that is gone."""

from __future__ import annotations

import os
import re

from ofakit.files import refusal

__all__ = ["said_of"]

GO_ON = "continue a training run with --resume auto"
LOST = re.compile("Connection closed by peer|Connection reset by peer|Broken pipe|remote process exited")
LATE = re.compile("[Tt]imed out waiting|[Tt]imeout\\(ms\\)|Watchdog caught collective operation timeout")
MADE_BY_TORCH = ("gloo", "NCCL", "ProcessGroup")


def said_of(error: BaseException) -> str | None:
    """One sentence for an error that is nobody's mistake in the code; None for any other.

    Args:
        error: What ended the tool.

    >>> said_of(FileNotFoundError(2, "No such file or directory", "run/metrics.jsonl"))
    'run/metrics.jsonl: No such file or directory; continue a training run with --resume auto'
    >>> said_of(KeyError("style")) is None
    True
    """
    if isinstance(error, BrokenPipeError):
        return "the reader of stdout closed it before the tool finished"
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}; {GO_ON}"
    refused = refusal(error)
    if refused is not None:
        return f"cannot write: {os.strerror(refused)}; free some space or fix the permission, then {GO_ON}"
    if not isinstance(error, RuntimeError):
        return None
    text = str(error)
    if "DataLoader worker (pid" in text and "Caught" not in text:  # its signal is heard anywhere in the step
        return (
            "a data-loading process was killed, most likely because memory ran out; lower "
            "train.dataloader.workers_per_gpu, and " + GO_ON
        )
    if any(name in text for name in MADE_BY_TORCH):
        if LATE.search(text):
            return f"the other processes of the run did not respond within train.timeout_minutes; {GO_ON}"
        if LOST.search(text):
            return f"another process of the run has exited; its own message says why; {GO_ON}"
    return None
