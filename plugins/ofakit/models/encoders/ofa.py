"""OFA as an encoder of texts, images, or both: its encoder's states pooled, or its decoder's start token.

    {"type": "ofa", "path": "MODEL_DIR_OR_HUB_ID", "pooling": "mean", "projection": 256, "normalize": true}
    {"type": "ofa", "size": "tiny", "tokenizer": {"train_vocab_size": 2000}, "pooling": "decoder_start"}

An image alone is read with an empty text; a text alone without image patches, or with masked ones where its batch has
images of other examples.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from ofakit.config.schema import ModelSection, TokenizerSection
from ofakit.config.section import PathText
from ofakit.models.encoders.base import Encoder, EncoderSettings
from ofakit.models.heads.pooling import Pooling, pool, pooled_width
from ofakit.models.heads.projection import Head
from ofakit.models.ofa.model import OFAModel
from ofakit.models.pixels import MEAN_STD, PixelNorm
from ofakit.models.reading import Reading
from ofakit.models.types.ofa import OFA
from ofakit.text.tokenizer import OFATokenizer

__all__ = ["OFAEncoder", "OFASettings", "OFATexts"]


class OFASettings(EncoderSettings):
    """The keys of `ofa`: those of the section `model`, and how its states are pooled."""

    path: PathText | None = Field(None, description="start from this model directory, file or hub id")
    size: Literal["tiny", "medium", "base", "large", "huge"] = Field("tiny", description="released size, if no path")
    config: dict[str, Any] = Field(default_factory=dict, description="keys of the OFA configuration to override")
    language: Literal["en", "zh"] = "en"
    tokenizer: TokenizerSection = Field(default_factory=TokenizerSection)
    pooling: Pooling | Literal["decoder_start"] = "mean"
    layers: int = Field(1, ge=1, le=1000, description="how many of the last layers `sum` and `concat` take")
    max_length: int = Field(128, ge=3, le=10_000, description="tokens of a text, bos and eos included")
    lowercase: bool = True
    image_size: int = Field(224, ge=16, le=4096, multiple_of=16, description="pixels a side")
    mean_std: Literal["half", "imagenet"] = "half"

    def section(self) -> ModelSection:
        """The same as the section `model` of a captioner."""
        names = ("path", "size", "config", "language", "tokenizer")
        return ModelSection(**{name: getattr(self, name) for name in names})


class OFATexts:
    """Texts as OFA reads them: a leading space, bos and eos.

    Args:
        tokenizer: OFA's.
        max_length: Tokens of a text, bos and eos included.
        lowercase: Whether texts are lower-cased.
    """

    def __init__(self, tokenizer: OFATokenizer, max_length: int, lowercase: bool) -> None:
        self.tokenizer = tokenizer
        self.max_length = max_length
        self.lowercase = lowercase
        self.pad_token_id = tokenizer.pad_token_id

    def __len__(self) -> int:
        return len(self.tokenizer)

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """The ids of texts, cut to `max_length`.

        Args:
            texts: Any texts; an empty one has bos and eos alone.
        """
        bos, eos = self.tokenizer.bos_token_id, self.tokenizer.eos_token_id
        cleaned = (text.lower() if self.lowercase else text for text in texts)
        pieces = ([] if not text else self.tokenizer.encode_as_text(f" {text}") for text in cleaned)
        return [[bos, *ids[: self.max_length - 2], eos] for ids in pieces]

    def pieces(self, ids: Sequence[int]) -> Sequence[str | None]:
        """The tokens that ids stand for, as the vocabulary spells them; None for an id that it does not have.

        Args:
            ids: Of a text.
        """
        return [self.tokenizer.id_to_token(number) for number in ids]

    def save(self, folder: str | Path) -> None:
        """Write the tokenizer's files.

        Args:
            folder: Where to; made if it is not there.
        """
        self.tokenizer.save_pretrained(folder)

    def fingerprint(self) -> str:
        """The vocabulary and what is done to a text, as a hash."""
        rows = [self.tokenizer.decode([number], skip_special_tokens=False) for number in range(len(self))]
        text = repr((rows, self.max_length, self.lowercase))
        return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


class OFAEncoder(Encoder):
    """Texts and images through OFA.

    Args:
        settings: Its keys.
        reading: Whose vocabulary the network has.

    Raises:
        UsageError: A key of `config` is none of OFA's, or the weights do not fit.
    """

    Settings = OFASettings
    reads = frozenset({"text", "image"})

    def __init__(self, settings: OFASettings, reading: Reading) -> None:
        super().__init__()
        self.network = _network(settings, reading)
        config = dataclasses.asdict(self.network.config)
        own = {"path": None, "config": config, "tokenizer": TokenizerSection()}
        self.settings = settings.model_copy(update=own)
        self.pixels = PixelNorm(*MEAN_STD[settings.mean_std])
        width = pooled_width(self.network.config.d_model, settings.pooling, settings.layers)
        self.head = Head(width, settings.projection, settings.normalize)

    @classmethod
    def make_reading(cls, settings: OFASettings, texts: Iterable[str]) -> Reading:
        """The tokenizer of the model directory, of `tokenizer.path`, or one trained on the texts.

        Args:
            settings: Its keys.
            texts: What to train on.
        """
        if settings.path is not None and Path(settings.path).is_dir():
            return cls.load_reading(settings, settings.path)
        cased = (f" {text.lower()}" if settings.lowercase else f" {text}" for text in texts)
        return _reading(settings, OFA().tokenizer(settings.section(), cased))

    @classmethod
    def load_reading(cls, settings: OFASettings, folder: str | Path) -> Reading:
        """The tokenizer of a directory.

        Args:
            settings: Its keys.
            folder: The directory.
        """
        return _reading(settings, OFA().read_tokenizer(folder))

    def pooled(self, inputs: Mapping[str, Tensor], modalities: Sequence[str]) -> Tensor:
        """One vector an example.

        Args:
            inputs: `input_ids`, `images`, `image_mask`, as far as they are asked for.
            modalities: Which of `text` and `image` the vectors are of.
        """
        encoded = self.network.encode(output_hidden_states=self.settings.layers > 1, **self._read(inputs, modalities))
        if self.settings.pooling == "decoder_start":
            start = self.network.config.bos_token_id
            tokens = torch.full((len(encoded.last_hidden_state), 1), start, device=encoded.last_hidden_state.device)
            return self.network.decode(tokens, encoded)[:, 0]
        states = encoded.hidden_states or (encoded.last_hidden_state,)
        return pool(states, ~encoded.padding_mask, self.settings.pooling, self.settings.layers)

    def _read(self, inputs: Mapping[str, Tensor], modalities: Sequence[str]) -> dict[str, Tensor]:
        """The arguments of OFA's encoder."""
        config = self.network.config
        read = {}
        if "text" in modalities:
            read["input_ids"] = inputs["input_ids"]
        else:
            empty = torch.tensor([config.bos_token_id, config.eos_token_id], device=inputs["images"].device)
            read["input_ids"] = empty.repeat(len(inputs["images"]), 1)
        if "image" in modalities:
            read["patch_images"] = inputs["images"] if self.network.takes_bytes else self.pixels(inputs["images"])
            read["patch_masks"] = inputs["image_mask"]
        return read

    def parts(self) -> dict[str, Sequence[nn.Module]]:
        """`visual`, `embeddings` and `encoder`, as OFA has them, and `projection`."""
        return {**self.network.parts(), "projection": [self.head]}


def _reading(settings: OFASettings, tokenizer: OFATokenizer) -> Reading:
    return Reading(OFATexts(tokenizer, settings.max_length, settings.lowercase), settings.image_size)


def _network(settings: OFASettings, reading: Reading) -> OFAModel:
    """The network that the settings name."""
    texts: Any = reading.texts
    if settings.path is not None and Path(settings.path).is_dir():
        network, _ = OFA().load(settings.path)
    else:
        network = OFA().build(settings.section(), texts.tokenizer)
    if len(texts) > network.config.vocab_size:
        network.resize_token_embeddings(len(texts))
    return network.train()
