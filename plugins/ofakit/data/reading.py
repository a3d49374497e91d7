"""The reader of an experiment, without anything that trains."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ofakit.data.readers import READERS

if TYPE_CHECKING:
    from ofakit.config.schema import ExperimentConfig

__all__ = ["build_reader", "data_root"]


def build_reader(config: ExperimentConfig) -> Any:
    """The reader of the configuration, or None where the examples are given to the trainer.

    Args:
        config: The experiment; its reader gets `data.root`, and one that generates its images a folder of the run
            directory where there is no root.
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
    """
    reader = config.data.reader.type
    if config.data.root is None and reader != "given" and getattr(READERS.get(reader), "generates", False):
        return str(Path(config.work_dir) / reader)
    return config.data.root
