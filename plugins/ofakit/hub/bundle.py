"""A model with everything that its task needs.

A task whose model directories contain something of their own derives its bundle from `ModelBundle`, under its name.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from ofakit.errors import UsageError, did_you_mean
from ofakit.models.base import Model
from ofakit.models.live_regions import LiveRegions
from ofakit.models.types import MODELS

__all__ = ["CAPTIONING", "REGIONS", "ModelBundle", "bundle_kind"]

REGIONS = "regions"
"""The folder of a model directory that contains the network that makes regions of images."""

CAPTIONING = "image-captioning"
"""The task of a directory that does not name one of ours, such as a stock directory."""

_KINDS: dict[str, type[ModelBundle]] = {}


@dataclass
class ModelBundle(ABC):
    """A model with everything that belongs to it.

    Attributes:
        model: The network.
        tokenizer: Converts text to ids; it has as many entries as the network's vocabulary, or fewer.
        model_type: The file of `ofakit.models.types` that builds, reads and writes the model.
        objectives: The types of the objectives it was trained with, in this run and earlier ones; None if its
            directory does not say.
        regions: A `preprocessors.regions.RegionInputs` for a model that reads images as regions; it belongs to the data
            and is not saved.
        live_regions: Makes the regions of images that are not in the data; saved with the model. None if the model does
            not read regions, or features were made elsewhere.
        model_task: The name of the task in a model that has learnt several and may have adapters for each.
        task: ModelScope's name for the task.
    """

    model: Model
    tokenizer: Any
    model_type: str = field(default="ofa", kw_only=True)
    objectives: tuple[str, ...] | None = field(default=None, kw_only=True)
    regions: Any = field(default=None, kw_only=True, repr=False, compare=False)
    live_regions: LiveRegions | None = field(default=None, kw_only=True, repr=False, compare=False)
    model_task: str | None = field(default=None, kw_only=True)
    task: ClassVar[str] = ""

    def __init_subclass__(cls, task: str, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.task = task
        _KINDS[task] = cls

    @property
    def pad_token_id(self) -> int | None:
        """The id that targets are padded with; None for a model that does not generate text."""
        return getattr(self.tokenizer, "pad_token_id", None)

    @abstractmethod
    def configuration(self) -> dict[str, Any]:
        """ModelScope's configuration.json, with the settings of the task in its section `ofakit`."""

    @classmethod
    @abstractmethod
    def from_configuration(cls, model: Model, tokenizer: Any, configuration: Mapping[str, Any]) -> ModelBundle:
        """The bundle of a directory.

        Args:
            model: The model read from it.
            tokenizer: The tokenizer read from it.
            configuration: The content of its configuration.json; empty if it has none.

        Raises:
            pydantic.ValidationError: A section is not valid.
        """

    def write_regions(self, folder: Path) -> None:
        """Save the network that makes regions, if the model has one.

        Args:
            folder: The model directory; a folder `regions` is created in it.

        Raises:
            SaveError: The disk is full.
        """
        if self.live_regions is not None:
            self.live_regions.write(folder / REGIONS)

    def regions_are_kept(self, folder: Path) -> None:
        """Let the next directory share the weights of the region network with this one.

        Args:
            folder: The model directory, which now contains them.
        """
        if self.live_regions is not None and self.live_regions.folder is None:
            self.live_regions.folder = folder / REGIONS

    def read_regions(self, folder: Path) -> None:
        """Read the network that makes regions from where `write_regions` saved it, if it is there.

        Args:
            folder: The model directory.

        Raises:
            UsageError: It is damaged.
        """
        self.live_regions = LiveRegions.read(folder / REGIONS) or self.live_regions

    def fixed(self) -> dict[str, Any]:
        """JSON values that must be the same in a resumed run as in the run before it, by how a message names them."""
        fingerprint = getattr(self.tokenizer, "fingerprint", None)
        return {} if fingerprint is None else {"the vocabulary": fingerprint()}

    def take_weights(self, path: Path, allow_partial: bool = False) -> None:
        """Load only the weights of a snapshot or a model directory, whose token ids must mean the same.

        Args:
            path: The snapshot or directory.
            allow_partial: Accept missing or unexpected weights.

        Raises:
            UsageError: The vocabulary is different, or the weights do not fit.
        """
        kind = MODELS.build({"type": self.model_type})
        theirs = kind.read_tokenizer(path) if (path / "config.json").exists() else self.tokenizer
        if self.tokenizer.first_difference(theirs) is not None:
            raise UsageError(
                f"expected a checkpoint with this run's vocabulary, found another in {path}; start from that model and "
                f"its own vocabulary: --set model.path={path}"
            )
        kind.load_weights(self.model, path, allow_partial=allow_partial)


def bundle_kind(task: str) -> type[ModelBundle]:
    """The bundle of a task.

    Args:
        task: ModelScope's name for it.

    Raises:
        UsageError: No bundle class that has been imported is registered for the task.
    """
    if task not in _KINDS:
        raise UsageError(f"model directories of the task {task!r} are not supported: {did_you_mean(task, _KINDS)}")
    return _KINDS[task]
