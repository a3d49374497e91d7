"""OFA as an encoder of texts, images, or both: its encoder's states pooled, or its decoder's start token.

    {"type": "ofa", "path": "MODEL_DIR_OR_HUB_ID", "pooling": "mean", "projection": 256, "normalize": true}
    {"type": "ofa", "size": "tiny", "tokenizer": {"train_vocab_size": 2000}, "pooling": "decoder_start"}

An image alone is read with an empty text; a text alone without image patches, or with masked ones where its batch has
images of other examples.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field
from torch import Tensor

from ofakit.config.schema import ModelSection, TokenizerSection
from ofakit.config.section import PathText
from ofakit.models.encoders._sequence_model import SequenceModelEncoder
from ofakit.models.encoders.base import EncoderSettings
from ofakit.models.heads.pooling import Pooling
from ofakit.models.pixels import MEAN_STD, PixelNorm
from ofakit.models.reading import Reading
from ofakit.models.types.ofa import OFA
from ofakit.text.base_tokenizer import BaseTokenizer

__all__ = ["OFAEncoder", "OFASettings", "OFATexts"]


class OFASettings(EncoderSettings):
    """The keys of `ofa`: those of the section `model`, and how its states are pooled."""

    path: PathText | None = Field(None, description="start from this model directory, file or hub id")
    size: Literal["tiny", "medium", "base", "large", "huge"] = Field("tiny", description="released size, if no path")
    config: dict[str, Any] = Field(default_factory=dict, description="keys of the OFA configuration to override")
    language: Literal["en", "zh"] = "en"
    tokenizer: TokenizerSection = Field(default_factory=TokenizerSection)
    pooling: Pooling | Literal["decoder_start"] = "mean"
    layers: int = Field(1, ge=1, le=1000, description="number of last layers that `sum` and `concat` combine")
    max_length: int = Field(128, ge=3, le=10_000, description="most tokens per text, including bos and eos")
    lowercase: bool = True
    image_size: int = Field(224, ge=16, le=4096, multiple_of=16, description="side of images in pixels")
    mean_std: Literal["half", "imagenet"] = "half"

    def section(self) -> ModelSection:
        """The same as the section `model` of a captioner."""
        names = ("path", "size", "config", "language", "tokenizer")
        return ModelSection(**{name: getattr(self, name) for name in names})


class OFATexts:
    """Texts as OFA reads them: a leading space, bos (where the vocabulary has one) and eos.

    Args:
        tokenizer: OFA's, or T5's.
        max_length: Tokens of a text, bos and eos included.
        lowercase: Whether texts are lower-cased.
    """

    def __init__(self, tokenizer: BaseTokenizer, max_length: int, lowercase: bool) -> None:
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
        begin, eos = self.tokenizer.begin, self.tokenizer.eos_token_id
        room = self.max_length - len(begin) - 1
        cleaned = (text.lower() if self.lowercase else text for text in texts)
        pieces = ([] if not text else self.tokenizer.encode_as_text(f" {text}") for text in cleaned)
        return [[*begin, *ids[:room], eos] for ids in pieces]

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


class OFAEncoder(SequenceModelEncoder):
    """Texts and images through OFA.

    Args:
        settings: Its keys.
        reading: Whose vocabulary the network has.
        network: The network, which others have too; None makes that of the settings.

    Raises:
        UsageError: A key of `config` is none of OFA's, or the weights do not fit.
    """

    Settings = OFASettings
    kind = OFA

    def __init__(self, settings: OFASettings, reading: Reading, network: Any = None) -> None:
        super().__init__(settings, reading, network)
        self.pixels = PixelNorm(*MEAN_STD[settings.mean_std])

    @staticmethod
    def reading_of(settings: OFASettings, tokenizer: BaseTokenizer) -> Reading:
        """Texts in OFA's way, and images.

        Args:
            settings: Its keys.
            tokenizer: OFA's.
        """
        return Reading(OFATexts(tokenizer, settings.max_length, settings.lowercase), settings.image_size)

    @property
    def start_token(self) -> int:
        """Bos."""
        return self.network.config.bos_token_id

    def read(self, inputs: Mapping[str, Tensor], modalities: Sequence[str]) -> dict[str, Any]:
        """The arguments of OFA's encoder.

        Args:
            inputs: `input_ids`, `images`, `image_mask`, as far as they are asked for.
            modalities: Which of `text` and `image` the vectors are of.
        """
        read = {"input_ids": inputs["input_ids"] if "text" in modalities else self.no_text(inputs["images"])}
        if "image" in modalities:
            read["patch_images"] = inputs["images"] if self.network.takes_bytes else self.pixels(inputs["images"])
            read["patch_masks"] = inputs["image_mask"]
        return read
