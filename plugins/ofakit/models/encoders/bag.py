"""A bag of words: the weighted mean of token embeddings, each token with a weight that is learnt.

    {"type": "bag", "width": 256, "vocabulary_size": 8000, "normalize": true}

It has no layers, so it trains in minutes from nothing and reads a million passages in as many on a processor. Its
vocabulary is trained on the experiment's texts, or read from a directory (`vocabulary`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import torch
from pydantic import Field
from torch import Tensor, nn

from ofakit.config.section import PathText
from ofakit.models.encoders.base import Encoder, EncoderSettings
from ofakit.models.heads.projection import WIDEST, Head
from ofakit.models.reading import HuggingFaceTexts, Reading, train_byte_pairs

__all__ = ["Bag", "BagSettings"]


class BagSettings(EncoderSettings):
    """The keys of `bag`."""

    width: int = Field(256, ge=1, le=WIDEST, description="width of the embeddings")
    vocabulary_size: int = Field(8000, ge=10, le=10_000_000, description="size of a vocabulary trained on the texts")
    vocabulary: PathText | None = Field(None, description="directory or hub id of a Hugging Face tokenizer instead")
    max_length: int = Field(256, ge=3, le=100_000, description="most tokens per text, including special ones")
    dropout: float = Field(0.0, ge=0, lt=1, description="share of tokens dropped in training")


class Bag(Encoder):
    """Texts as weighted means of token embeddings.

    Args:
        settings: Its keys.
        reading: Whose vocabulary gets the rows.
    """

    Settings = BagSettings
    reads = frozenset({"text"})

    def __init__(self, settings: BagSettings, reading: Reading) -> None:
        super().__init__()
        size = len(reading.texts)  # type: ignore[arg-type]
        self.settings = settings.model_copy(update={"vocabulary": None, "vocabulary_size": size})
        self.embedding = nn.Embedding(size, settings.width)
        nn.init.normal_(self.embedding.weight, std=settings.width**-0.5)
        self.log_weight = nn.Embedding(size, 1)
        nn.init.zeros_(self.log_weight.weight)
        self.head = Head(settings.width, settings.projection, settings.normalize)

    @classmethod
    def make_reading(cls, settings: BagSettings, texts: Iterable[str]) -> Reading:
        """The vocabulary that the settings name, or one trained on the texts.

        Args:
            settings: Its keys.
            texts: What to train on.
        """
        if settings.vocabulary is not None:
            return cls.load_reading(settings, settings.vocabulary)
        return Reading(train_byte_pairs(texts, settings.vocabulary_size, settings.max_length))

    @classmethod
    def load_reading(cls, settings: BagSettings, folder: str | Path) -> Reading:
        """The vocabulary of a directory.

        Args:
            settings: Its keys.
            folder: The directory.
        """
        return Reading(HuggingFaceTexts.load(folder, settings.max_length))

    def pooled(self, inputs: Mapping[str, Tensor], modalities: Sequence[str]) -> Tensor:
        """The weighted mean of each text's embeddings.

        Args:
            inputs: `input_ids` and `attention_mask`, `(n, T)`.
            modalities: `text`.
        """
        ids, mask = inputs["input_ids"], inputs["attention_mask"].bool()
        if self.training and self.settings.dropout:
            mask = mask & (torch.rand(ids.shape, device=ids.device) >= self.settings.dropout)
        weights = self.log_weight(ids)[..., 0].exp() * mask
        total = weights.sum(1, keepdim=True).clamp(min=1e-6)
        return torch.einsum("nt,ntd->nd", weights / total, self.embedding(ids))

    def parts(self) -> dict[str, Sequence[nn.Module]]:
        """`embeddings`, which is all of it but the head."""
        return {"embeddings": [self.embedding, self.log_weight], "projection": [self.head]}
