"""What a network is made of, as a file: how configurations of OFA, VL-T5 and VL-BART are read, written and changed."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from ofakit.errors import UsageError
from ofakit.files import write_text
from ofakit.input_files import read_json_file
from ofakit.json_text import to_json

__all__ = ["NetworkConfig"]

Config = TypeVar("Config", bound="NetworkConfig")


class NetworkConfig(ABC):
    """A configuration that is made from the keys of a `config.json`, and gives them back.

    Attributes:
        model_types: What `model_type` may be in the file.
        usual_type: What it is where the file does not say; None: it must.
        family: Whose models these are, for messages.
    """

    model_types: ClassVar[tuple[str, ...]]
    usual_type: ClassVar[str | None] = None
    family: ClassVar[str]

    if TYPE_CHECKING:

        def __init__(self, **keys: Any) -> None: ...

    @classmethod
    def from_pretrained(cls: type[Config], directory: str | Path) -> Config:
        """Read `config.json` of a model directory: ours, ModelScope's or Hugging Face's.

        Args:
            directory: The directory.

        Raises:
            UsageError: There is no such file, it is not JSON, or it describes another kind of model.
        """
        path = Path(directory) / "config.json"
        if not os.path.lexists(path):
            raise UsageError(f"no config.json in {directory}; expected a model directory of {cls.family}")
        keys = read_json_file(path, f"the configuration of a model of {cls.family}")
        found = keys.get("model_type", cls.usual_type) if isinstance(keys, dict) else type(keys).__name__
        if found not in cls.model_types:
            raise UsageError(f"{path}: expected model_type {' or '.join(map(repr, cls.model_types))}, found {found!r}")
        return cls(**keys)

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """Every key, of which the same configuration is made again."""

    def save_pretrained(self, directory: str | Path) -> None:
        """Write `config.json`.

        Args:
            directory: Where to; made if it is not there.
        """
        write_text(Path(directory) / "config.json", to_json(self.to_dict(), indent=2, sort_keys=True) + "\n")

    def replace(self: Config, **keys: Any) -> Config:
        """A copy in which `keys` differ.

        Args:
            **keys: The keys that shall differ.
        """
        return type(self)(**{**self.to_dict(), **keys})
