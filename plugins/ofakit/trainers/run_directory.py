"""The run directory: created if it is writable, cleared of an earlier run, and its model to continue from."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ofakit.errors import UsageError
from ofakit.locks import only_one

if TYPE_CHECKING:
    from ofakit.processes import Processes

__all__ = ["all_alone_in", "alone_in", "best_model", "make_run_directory", "move_earlier_run"]

OUTPUTS = (
    "stages", "checkpoints", "starting_model", "best", "best_of", "output", "eval", "tensorboard", "wandb", "swanlab",
    "out_of_memory", "metrics.jsonl", "train.log", "conf.json",
)  # fmt: skip

CURE = "wait for it (--wait), end it, or choose another directory: --set work_dir=DIR"
NUMBER = re.compile("[0-9]{1,18}")


def make_run_directory(work_dir: str | Path) -> Path:
    """The run directory, created if necessary.

    Args:
        work_dir: Its path.

    Raises:
        UsageError: It is a file or is not writable.
    """
    folder = Path(work_dir)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"expected work_dir to be a folder that exists or can be created, found {folder} ({error.strerror}); "
            "choose another: --set work_dir=DIR"
        ) from None
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UsageError(f"no permission to write to work_dir {folder}; choose another: --set work_dir=DIR")
    return folder


@contextmanager
def alone_in(work_dir: str | Path, is_main: bool = True, wait: bool = False) -> Iterator[None]:
    """Keep other runs out of a run directory; the first process of a run does this for all.

    Args:
        work_dir: The run directory, which is created if it is missing.
        is_main: Whether this is the first process.
        wait: Wait until another run has ended instead of refusing.

    Raises:
        UsageError: Another run uses it, or it is not writable.
    """
    if not is_main:
        yield
        return
    with only_one(make_run_directory(work_dir), "run", CURE, wait, nested=True):
        yield


@contextmanager
def all_alone_in(work_dir: str | Path, processes: Processes) -> Iterator[None]:
    """`alone_in` for all processes of a run: if another run uses the directory, every process raises the error.

    Args:
        work_dir: The run directory.
        processes: The processes of the run.

    Raises:
        UsageError: See `alone_in`; raised in every process.
    """
    refused: UsageError | None = None
    with ExitStack() as stack:
        try:
            stack.enter_context(alone_in(work_dir, processes.is_main))
        except UsageError as error:
            refused = error
        refused = processes.gather(refused)[0]
        if refused is not None:
            raise refused
        yield


def move_earlier_run(work_dir: Path) -> None:
    """Move the files of an earlier run aside, so that none is lost or mistaken for a file of the new run.

    Args:
        work_dir: The run directory; its contents are moved to `earlier/<n>/`.
    """
    left = [work_dir / name for name in OUTPUTS if (work_dir / name).exists()]
    if not left:
        return
    earlier = work_dir / "earlier"
    number = 1 + max((int(path.name) for path in earlier.glob("*") if NUMBER.fullmatch(path.name)), default=0)
    aside = earlier / str(number)
    aside.mkdir(parents=True)
    for path in left:
        if path.is_symlink():
            _move_behind_link(path, aside / path.name)
        else:
            path.rename(aside / path.name)


def _move_behind_link(link: Path, aside: Path) -> None:
    """Rename the target of a link and link to it from `earlier/`; the link itself stays for the new run."""
    target = Path(os.path.realpath(link))
    names = (target.with_name(f"{target.name}.earlier_{number}") for number in itertools.count(1))
    free = next(path for path in names if not os.path.lexists(path))
    target.rename(free)
    aside.symlink_to(free)


def best_model(work_dir: str | Path) -> Path | None:
    """The model directory of a run: its best, or its last if no best was chosen; None if it has neither.

    Args:
        work_dir: A run directory.
    """
    found = (Path(work_dir) / name for name in ("best", "output"))
    return next((folder for folder in found if folder.is_dir()), None)
