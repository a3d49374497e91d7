"""Builds the reader of an experiment, in the same way for the trainer and for tools that inspect its data.

{"data": {"reader": {"type": "flickrstyle"}, "root": "DIR"}}
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ofakit.config.schema import ExperimentConfig
from ofakit.data.readers import READERS

__all__ = ["build_reader", "data_root"]


def build_reader(config: ExperimentConfig) -> Any:
    """The reader of the configuration, or None if the examples are given to the trainer.

    Args:
        config: The experiment; its reader gets `data.root`, and one that generates its images a folder of the run
            directory where there is no root.

    Returns:
        An object with `splits()` and `read(split)`, as `ofakit.data.readers` says, or None.

    Raises:
        UsageError: There is no such reader, or it does not take what the configuration gives it; the message names
            the file or the `--set`.
    """
    spec = config.data.reader.model_dump()
    if spec["type"] == "given":
        return None
    with config.naming_the_file("data", "reader"):
        return READERS.build({"root": data_root(config), **spec})


def data_root(config: ExperimentConfig) -> str | None:
    """The folder of the data: `data.root`, or one in the run directory for a reader that generates its images.

    Args:
        config: The experiment.

    Returns:
        The folder; None where neither applies, which readers take for the working directory.

    Raises:
        UsageError: There is no such reader.
    """
    reader = config.data.reader.type
    if config.data.root is None and reader != "given" and getattr(READERS.get(reader), "generates", False):
        return str(Path(config.work_dir) / reader)
    return config.data.root
