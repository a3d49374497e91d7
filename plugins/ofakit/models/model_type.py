"""What `model.type` in a configuration names: how models of one kind are built, read and written.

A member of `ofakit.models.types` is a subclass, made without arguments:

    kind = MODELS.build({"type": config.model.type})
    tokenizer = kind.tokenizer(config.model, texts)
    model = kind.build(config.model, tokenizer)
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from ofakit.config.schema import ModelSection
from ofakit.errors import UsageError
from ofakit.models.adapters.adding import adapter_of, adapter_settings, add_adapters
from ofakit.models.base import Model
from ofakit.models.description import counted
from ofakit.models.weights import read_content, tensors_of

__all__ = ["ModelType"]


class ModelType(ABC):
    """One kind of model with its tokenizer. A `Model` keeps the contract of `ofakit.models.base`."""

    def reads_regions(self, section: ModelSection) -> bool:
        """Whether a model that a section asks for reads images as regions of the width `config.feat_dim`.

        Args:
            section: The section `model`.
        """
        return False

    @abstractmethod
    def tokenizer(self, section: ModelSection, texts: Iterable[str]) -> Any:
        """The tokenizer that a configuration asks for: read, or trained.

        Args:
            section: The section `model`.
            texts: What a vocabulary of its own is trained on, as they will be encoded; not looked at otherwise.

        Raises:
            UsageError: It says of no tokenizer, or of one that does not fit.
        """

    @abstractmethod
    def build(self, section: ModelSection, tokenizer: Any) -> Model:
        """The model that a configuration asks for, with the weights of `section.path` if that is a file.

        Args:
            section: The section `model`; its `path` is not a directory.
            tokenizer: Whose special ids the model gets, and whose size where no file says another.

        Raises:
            UsageError: A key is unknown or out of its range (`error.key` is one of `section.config`), or the weights do
                not fit.
        """

    @abstractmethod
    def load(self, folder: str | Path, allow_partial: bool = False) -> tuple[Model, Any]:
        """Read a model directory.

        Args:
            folder: The directory.
            allow_partial: Accept missing and unexpected weights.

        Returns:
            The model in evaluation mode, and its tokenizer.

        Raises:
            UsageError: A file is missing, or the weights do not fit.
        """

    def is_start(self, folder: str | Path) -> bool:
        """Whether a directory holds weights that `build` makes a new model from, and no whole model for `load`.

        Args:
            folder: The directory.
        """
        return False

    def train_as(self, model: Model, section: ModelSection) -> None:
        """Let a model be trained as a section says; whether it was built or read from a directory.

        Args:
            model: Changed in place.
            section: The section `model`: its `adapter`, and of its `backbone` what is not part of the network.

        Raises:
            UsageError: The section asks for what such models have not, or for another network than the model's.
        """
        if section.backbone is not None:
            raise UsageError(f"a model of type {section.type!r} has no model.backbone; leave it out", "backbone")
        self.adapt(model, section)

    def adapt(self, model: Model, section: ModelSection) -> None:
        """Put the adapters of a section into a model that has none; one that has them already keeps them.

        Args:
            model: Changed in place.
            section: The section `model`.

        Raises:
            UsageError: A key of `adapter` is wrong, or the model has other adapters.
        """
        if section.adapter is None:
            return
        wanted, found = section.adapter.model_dump(), adapter_of(model)
        if found is None:
            add_adapters(model, wanted)
            return
        full = {"type": wanted["type"], **adapter_settings(wanted).model_dump(mode="json")}
        if full != found:
            differs = sorted(key for key in {*full, *found} if full.get(key) != found.get(key))
            raise UsageError(
                f"model.adapter: the model already has adapters that differ in {', '.join(differs)}; leave "
                "it out to continue training these, or merge them first (tools/checkpoint.py merge)", "adapter",
            )  # fmt: skip

    @abstractmethod
    def read_tokenizer(self, folder: str | Path) -> Any:
        """The tokenizer of a model directory.

        Args:
            folder: The directory.

        Raises:
            UsageError: There is none.
        """

    def save(self, model: Model, tokenizer: Any, folder: str | Path) -> None:
        """Write a model and its tokenizer so that `load` reads them.

        Args:
            model: The model.
            tokenizer: Its tokenizer.
            folder: Where to; made if it is not there.

        Raises:
            SaveError: The disk is full or permission is missing.
        """
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)

    @abstractmethod
    def load_weights(self, model: Model, path: str | Path, allow_partial: bool = False) -> tuple[list[str], list[str]]:
        """Load the weights of a checkpoint, a model directory or a snapshot into a model.

        Args:
            model: One of this kind; nothing changes when the weights do not fit.
            path: A file or a directory.
            allow_partial: Take what fits.

        Returns:
            The names of the missing and of the unexpected tensors.

        Raises:
            UsageError: The weights do not fit and `allow_partial` is not set, or nothing fits.
        """

    def recognises(self, names: Collection[str]) -> bool:
        """Whether weights are of this kind, judging by their names; never what another kind recognises.

        Args:
            names: Those of all tensors of a checkpoint.
        """
        return False

    def describe(self, path: str | Path, section: ModelSection | None = None) -> dict[str, Any]:
        """What a checkpoint is, without loading it into a model.

        Args:
            path: A model directory, a snapshot of a run, or a file of weights.
            section: The section `model` of the run that made a snapshot, which says what weights do not tell; None
                where that is not known.

        Returns:
            JSON values: `format`, and what `describe_weights` says.

        Raises:
            UsageError: A file is missing or damaged.
        """
        weights = tensors_of(read_content(path), path)
        kind = "directory" if Path(path).is_dir() else "state dict"
        return {"format": kind, **self.describe_weights(weights, section)}

    def describe_weights(self, weights: Mapping[str, Tensor], section: ModelSection | None = None) -> dict[str, Any]:
        """What weights are, as far as they tell it.

        Args:
            weights: By name, as a snapshot has them.
            section: As in `describe`.

        Returns:
            At least `parameters`, `tensors` and `dtypes`, as `ofakit.models.description.counted` has them.

        Raises:
            UsageError: They are of another kind.
        """
        return counted(weights)
