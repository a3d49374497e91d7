"""Who starts the runs. A member's file name is what `--engine` takes."""

from ofakit.registry import Registry

__all__ = ["ENGINES"]

ENGINES = Registry("engine", __name__)
