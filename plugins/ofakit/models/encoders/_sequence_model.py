"""Shared by encoders whose network reads a text, an image or both, and writes sequences: OFA, VL-T5 and VL-BART."""

from __future__ import annotations

import dataclasses
from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ofakit.config.schema import TokenizerSection
from ofakit.models.encoders.base import Encoder
from ofakit.models.heads.pooling import pool, pooled_width
from ofakit.models.heads.projection import Head
from ofakit.models.model_type import ModelType
from ofakit.models.reading import Reading

__all__ = ["SequenceModelEncoder"]


class SequenceModelEncoder(Encoder):
    """A network of one of the types of models, its states pooled.

    Attributes:
        kind: The type, which builds and reads the network and its tokenizer.

    Args:
        settings: Its keys: those of the section `model`, `pooling`, `layers`, `projection` and `normalize`.
        reading: Whose vocabulary the network has.
        network: The network, which others have too; None makes that of the settings.

    Raises:
        UsageError: A key of `config` is unknown, or the weights do not fit.
    """

    kind: ClassVar[type[ModelType]]
    reads = frozenset({"text", "image"})

    def __init__(self, settings: Any, reading: Reading, network: Any = None) -> None:
        super().__init__()
        self.network: Any = network
        if network is None:
            self.network = self._network(settings, reading)
        own = {"path": None, "config": self.own_config(), "tokenizer": TokenizerSection()}
        self.settings = settings.model_copy(update={**own, **self.own_settings(settings)})
        width = pooled_width(self.network.config.d_model, settings.pooling, settings.layers)
        self.head = Head(width, settings.projection, settings.normalize)

    @classmethod
    def make_reading(cls, settings: Any, texts: Iterable[str]) -> Reading:
        """The tokenizer of the model directory, of `tokenizer.path`, or one trained on the texts.

        Args:
            settings: Its keys.
            texts: What to train on.
        """
        if settings.path is not None and Path(settings.path).is_dir():
            return cls.load_reading(settings, settings.path)
        cased = (f" {text.lower()}" if settings.lowercase else f" {text}" for text in texts)
        return cls.reading_of(settings, cls.kind().tokenizer(settings.section(), cased))

    @classmethod
    def load_reading(cls, settings: Any, folder: str | Path) -> Reading:
        """The tokenizer of a directory.

        Args:
            settings: Its keys.
            folder: The directory.
        """
        return cls.reading_of(settings, cls.kind().read_tokenizer(folder))

    @staticmethod
    @abstractmethod
    def reading_of(settings: Any, tokenizer: Any) -> Reading:
        """What it reads with a tokenizer.

        Args:
            settings: Its keys.
            tokenizer: The tokenizer.
        """

    @classmethod
    def settings_around(cls, network: Any) -> dict[str, Any]:
        """Settings that a network has settled already, where an encoder is made around it.

        Args:
            network: Of the encoder's kind.
        """
        return {}

    @property
    @abstractmethod
    def start_token(self) -> int:
        """What the decoder begins with."""

    @abstractmethod
    def read(self, inputs: Mapping[str, Tensor], modalities: Sequence[str]) -> dict[str, Any]:
        """The arguments of the network's `encode`.

        Args:
            inputs: As for `pooled`.
            modalities: As for `pooled`.
        """

    def own_config(self) -> dict[str, Any]:
        """The keys that make the same network again."""
        return dataclasses.asdict(self.network.config)

    def own_settings(self, settings: Any) -> dict[str, Any]:
        """Further settings that make the same network again.

        Args:
            settings: Those that it was made from.
        """
        return {}

    def states(self, encoded: Any) -> Sequence[Tensor]:
        """The states of the encoder that are pooled, the last ones behind.

        Args:
            encoded: What the network's `encode` gave.
        """
        return encoded.hidden_states or (encoded.last_hidden_state,)

    def pooled(self, inputs: Mapping[str, Tensor], modalities: Sequence[str]) -> Tensor:
        """One vector an example.

        Args:
            inputs: What the collator made, as far as it is asked for.
            modalities: Which of `text` and `image` the vectors are of.
        """
        encoded = self.network.encode(output_hidden_states=self.settings.layers > 1, **self.read(inputs, modalities))
        if self.settings.pooling == "decoder_start":
            last = encoded.last_hidden_state
            tokens = torch.full((len(last), 1), self.start_token, device=last.device)
            return self.network.decode(tokens, encoded)[:, 0]
        return pool(self.states(encoded), ~encoded.padding_mask, self.settings.pooling, self.settings.layers)

    def no_text(self, like: Tensor) -> Tensor:
        """An empty text an example, `(n, 2)`, or `(n, 1)` in a vocabulary without bos.

        Args:
            like: With one row an example.
        """
        config = self.network.config
        ids = [token for token in (config.bos_token_id, config.eos_token_id) if token is not None]
        return torch.tensor(ids, device=like.device).repeat(len(like), 1)

    def parts(self) -> dict[str, Sequence[nn.Module]]:
        """Those of the network, and `projection`."""
        return {**self.network.parts(), "projection": [self.head]}

    @classmethod
    def _network(cls, settings: Any, reading: Reading) -> Any:
        """The network that the settings name."""
        texts: Any = reading.texts
        kind, path = cls.kind(), settings.path
        if path is not None and Path(path).is_dir() and not kind.is_start(path):
            network: Any = kind.load(path)[0]
        else:
            network = kind.build(settings.section(), texts.tokenizer)
        if len(texts) > network.config.vocab_size:
            network.resize_token_embeddings(len(texts))
        return network.train()
