"""The run directory: made once it is known to be writable, cleared of an earlier run, and its model to go on from."""

from __future__ import annotations

import os
from pathlib import Path

from ofakit.errors import UsageError

__all__ = ["best_model", "make_run_directory", "move_earlier_run"]

OUTPUTS = (
    "stages", "checkpoints", "starting_model", "best", "output", "eval", "tensorboard", "metrics.jsonl", "train.log",
    "conf.json",
)  # fmt: skip


def make_run_directory(work_dir: str | Path) -> Path:
    """The run directory, which exists afterwards.

    Args:
        work_dir: Where it shall be.

    Raises:
        UsageError: It is a file, or nothing can be written there.
    """
    folder = Path(work_dir)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"expected work_dir to be a folder, or one that can be made, found {folder} ({error.strerror}); "
            "set another: --set work_dir=DIR"
        ) from None
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UsageError(f"no permission to write into work_dir {folder}; set another: --set work_dir=DIR")
    return folder


def move_earlier_run(work_dir: Path) -> None:
    """Put what an earlier run left aside, so that nothing of it is lost or mistaken for the new one's.

    Args:
        work_dir: The run directory; what it has goes to `earlier/<n>/`.
    """
    left = [work_dir / name for name in OUTPUTS if (work_dir / name).exists()]
    if not left:
        return
    number = 1 + sum(1 for _ in work_dir.glob("earlier/*"))
    aside = work_dir / "earlier" / str(number)
    aside.mkdir(parents=True)
    for path in left:
        path.rename(aside / path.name)


def best_model(work_dir: str | Path) -> Path | None:
    """The model directory of a run: its best, or its last where none was chosen; None where it has neither.

    Args:
        work_dir: A run directory.
    """
    found = (Path(work_dir) / name for name in ("best", "output"))
    return next((folder for folder in found if folder.is_dir()), None)
