"""What an encoder is: it turns what it reads, text, image or both, into one vector per example.

An encoder is made from its settings and its `Reading`: how texts become ids, and how large images are. What it was made
of is in `settings` afterwards, in a form that makes the same network without any other file, so that a model directory
needs nothing but them, the weights and the files of the reading.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import Field
from torch import Tensor, nn

from ofakit.config.component import Component
from ofakit.config.load import checked
from ofakit.config.section import Section
from ofakit.errors import UsageError
from ofakit.models.encoders import ENCODERS
from ofakit.models.heads.projection import WIDEST, DenseSection, Head
from ofakit.models.reading import Reading

__all__ = ["Encoder", "EncoderSettings", "make_encoder", "settings_of"]


class EncoderSettings(Section):
    """What the settings of every encoder have."""

    projection: Annotated[int, Field(ge=1, le=WIDEST)] | list[DenseSection] | None = Field(
        None, description="width of a linear projection without bias, or a list of layers"
    )
    normalize: bool = Field(False, description="scale vectors to length 1")


class Encoder(nn.Module, ABC):
    """Text, image or both → vectors.

    Attributes:
        Settings: The keys of its configuration.
        reads: What it can read, of `text` and `image`.
        settings: What makes the same network again.
        head: Projection and normalisation of what it pools.
        reads_regions: Whether it reads images as regions, whose width is the key `feat_dim` of its `config`.
    """

    Settings: ClassVar[type[EncoderSettings]]
    reads: frozenset[str]
    reads_regions: ClassVar[bool] = False
    settings: Any
    head: Head

    @classmethod
    @abstractmethod
    def make_reading(cls, settings: Any, texts: Iterable[str]) -> Reading:
        """What it reads, from a configuration.

        Args:
            settings: An instance of `Settings`.
            texts: What a vocabulary of its own is trained on; not looked at otherwise.

        Raises:
            UsageError: A file that the settings name is missing, or is none that this encoder reads.
        """

    @classmethod
    @abstractmethod
    def load_reading(cls, settings: Any, folder: str | Path) -> Reading:
        """What it reads, from a model directory.

        Args:
            settings: Those of the directory.
            folder: Where `Reading.save` wrote.

        Raises:
            UsageError: A file is missing or damaged.
        """

    @abstractmethod
    def pooled(self, inputs: Mapping[str, Tensor], modalities: Sequence[str]) -> Tensor:
        """One vector an example, before projection and normalisation.

        Args:
            inputs: `input_ids` and `attention_mask` `(n, T)`, `images` `(n, 3, H, W)` uint8 and `image_mask` `(n,)`
                bool, as far as it reads them.
            modalities: Which of `text` and `image` the vectors are of.

        Returns:
            `(n, d)`.
        """

    @abstractmethod
    def parts(self) -> dict[str, Sequence[nn.Module]]:
        """What can be frozen, tied or given a learning rate of its own, by name: `embeddings`, `visual`, `text`."""

    def embed(self, inputs: Mapping[str, Tensor], modalities: Sequence[str]) -> Tensor:
        """One vector an example.

        Args:
            inputs: As for `pooled`.
            modalities: Which of `text` and `image` the vectors are of.

        Returns:
            `(n, dimension(modalities))`.

        Raises:
            UsageError: It cannot read one of the modalities.
        """
        self.refuse_other_than_read(modalities)
        return self.head(self.pooled(inputs, modalities))

    def dimension(self, modalities: Sequence[str]) -> int:
        """The width of its vectors.

        Args:
            modalities: Which of `text` and `image` the vectors are of.
        """
        return self.head.width

    def refuse_other_than_read(self, modalities: Sequence[str]) -> None:
        """See that it can read what it is asked to.

        Args:
            modalities: Which of `text` and `image` the vectors are of.

        Raises:
            UsageError: It cannot.
        """
        unread = [name for name in modalities if name not in self.reads]
        if unread or not modalities:
            raise UsageError(f"expected some of {', '.join(sorted(self.reads))} to encode, found {list(modalities)}")

    def train(self, mode: bool = True) -> Encoder:
        """Switch between training and evaluation; frozen parts stay in evaluation, so that their statistics rest.

        Args:
            mode: Whether to train.
        """
        super().train(mode)
        for module in (module for modules in self.parts().values() for module in modules):
            parameters = list(module.parameters())
            if parameters and not any(parameter.requires_grad for parameter in parameters):
                module.eval()
        return self


def settings_of(spec: Component) -> Any:
    """The checked settings of an encoder.

    Args:
        spec: With a `type`, a file of `ofakit/models/encoders`; its other keys are the encoder's.

    Raises:
        UsageError: There is no such encoder, a key is unknown, or a value is out of range.
    """
    return checked(ENCODERS.get(spec.type).Settings, spec.model_extra or {})


def make_encoder(spec: Component, reading: Reading, network: nn.Module | None = None) -> Any:
    """An encoder.

    Args:
        spec: As for `settings_of`.
        reading: What it reads.
        network: What it encodes with, of an encoder that can share it; None makes one.

    Raises:
        UsageError: As `settings_of`, or its network cannot be had.
    """
    shared = {} if network is None else {"network": network}
    return ENCODERS.get(spec.type)(settings_of(spec), reading, **shared)
