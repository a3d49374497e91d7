"""Where the values of a configuration came from, for messages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ofakit.input_files import read_json_file

__all__ = ["Origin"]


@dataclass(frozen=True)
class Origin:
    """The files and `--set` texts that a configuration was read from; any two compare equal, as only values count.

    Attributes:
        files: The files, the base last.
        overrides: The `--set` texts.
    """

    files: Sequence[Path] = field(default=(), compare=False)
    overrides: Sequence[str] = field(default=(), compare=False)

    def place_of(self, location: Sequence[str | int]) -> str:
        """Which `--set` or file holds a key, or else the nearest section above it, as a clause for a message.

        The one that was read last wins; below a list only the file of the list counts, as lists replace each other.

        Args:
            location: The key's parts.
        """
        dotted = ".".join(str(part) for part in location)
        for override in reversed(self.overrides):
            key = override.partition("=")[0]
            if key == dotted or dotted.startswith(key + "."):
                return f" (--set {override})"
        contents = {file: read_json_file(file, "a configuration") for file in self.files}
        for length in range(len(location), 0, -1):
            for file, values in contents.items():
                if _holds(values, location[:length]):
                    return f" in {file}"
        return f" in {self.files[0]}" if self.files else ""


def _holds(values: Any, location: Sequence[str | int]) -> bool:
    """Whether a key is there, or a list that it would have to be in."""
    for part in location:
        if isinstance(values, list):
            return True
        if not isinstance(values, dict) or part not in values:
            return False
        values = values[part]
    return True
