"""VL-T5 and VL-BART as encoders of texts, images as regions, or both: their states pooled, or the decoder's first one.

    {"type": "vl", "path": "MODEL_DIR", "pooling": "mean", "projection": 256, "normalize": true}
    {"type": "vl", "size": "tiny", "config": {"model_type": "t5", "feat_dim": 512}, "pooling": "decoder_start",
     "tokenizer": {"train_vocab_size": 2000}}

`pooling` `sum` and `concat` take the last `layers` states of the encoder, the last one as the decoder reads it. An
image alone is read with an empty text.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from ofakit.config.schema import ModelSection, TokenizerSection
from ofakit.config.section import PathText
from ofakit.models.encoders.base import Encoder, EncoderSettings
from ofakit.models.encoders.ofa import OFATexts
from ofakit.models.heads.pooling import Pooling, pool, pooled_width
from ofakit.models.heads.projection import Head
from ofakit.models.reading import Reading
from ofakit.models.types.vl import VL
from ofakit.models.vl.model import VLModel
from ofakit.text.tokenizer import OFATokenizer

__all__ = ["VLEncoder", "VLSettings"]

REGIONS = ("vis_feats", "boxes", "vis_attention_mask", "img_order_ids", "obj_order_ids")


class VLSettings(EncoderSettings):
    """The keys of `vl`: those of the section `model`, and how its states are pooled."""

    path: PathText | None = Field(None, description="start from this model directory or file")
    size: Literal["tiny", "base", "large"] = Field("tiny", description="published size, if no path")
    config: dict[str, Any] = Field(default_factory=dict, description="keys of the configuration to override")
    tokenizer: TokenizerSection = Field(default_factory=TokenizerSection)
    pooling: Pooling | Literal["decoder_start"] = "mean"
    layers: int = Field(1, ge=1, le=1000, description="how many of the last layers `sum` and `concat` take")
    max_length: int = Field(128, ge=3, le=10_000, description="tokens of a text, bos and eos included")
    lowercase: bool = True
    task: str | None = Field(None, description="whose adapters to use, where tasks have their own")

    def section(self) -> ModelSection:
        """The same as the section `model` of a captioner."""
        names = ("path", "size", "config", "tokenizer")
        return ModelSection(**{name: getattr(self, name) for name in names})


class VLEncoder(Encoder):
    """Texts and regions through VL-T5 or VL-BART.

    Args:
        settings: Its keys.
        reading: Whose vocabulary the network has.

    Raises:
        UsageError: A key of `config` is unknown, or the weights do not fit.
    """

    Settings = VLSettings
    reads = frozenset({"text", "image"})

    def __init__(self, settings: VLSettings, reading: Reading) -> None:
        super().__init__()
        self.network = _network(settings, reading)
        config = dataclasses.asdict(self.network.config)
        own = {name: value for name, value in config.items() if name not in ("extra", "adapter")}
        self.settings = settings.model_copy(update={"path": None, "config": own, "tokenizer": TokenizerSection()})
        width = pooled_width(self.network.config.d_model, settings.pooling, settings.layers)
        self.head = Head(width, settings.projection, settings.normalize)

    @classmethod
    def make_reading(cls, settings: VLSettings, texts: Iterable[str]) -> Reading:
        """The tokenizer of the model directory, of `tokenizer.path`, or one trained on the texts.

        Args:
            settings: Its keys.
            texts: What to train on.
        """
        if settings.path is not None and Path(settings.path).is_dir():
            return cls.load_reading(settings, settings.path)
        cased = (f" {text.lower()}" if settings.lowercase else f" {text}" for text in texts)
        return _reading(settings, VL().tokenizer(settings.section(), cased))

    @classmethod
    def load_reading(cls, settings: VLSettings, folder: str | Path) -> Reading:
        """The tokenizer of a directory.

        Args:
            settings: Its keys.
            folder: The directory.
        """
        return _reading(settings, VL().read_tokenizer(folder))

    def pooled(self, inputs: Mapping[str, Tensor], modalities: Sequence[str]) -> Tensor:
        """One vector an example.

        Args:
            inputs: `input_ids` `(n, T)`, and of `vis_feats` `(n, N, f)`, `boxes`, `vis_attention_mask`,
                `img_order_ids` and `obj_order_ids` those that are there.
            modalities: Which of `text` and `image` the vectors are of.
        """
        config, several = self.network.config, self.settings.layers > 1
        encoded = self.network.encode(
            task=self.settings.task, output_hidden_states=several, **self._read(inputs, modalities)
        )
        last = encoded.last_hidden_state
        if self.settings.pooling == "decoder_start":
            tokens = torch.full((len(last), 1), config.decoder_start_token_id, device=last.device)
            return self.network.decode(tokens, encoded)[:, 0]
        states = (*(encoded.hidden_states or (last,))[:-1], last)
        return pool(states, ~encoded.padding_mask, self.settings.pooling, self.settings.layers)

    def _read(self, inputs: Mapping[str, Tensor], modalities: Sequence[str]) -> dict[str, Any]:
        """The arguments of the network's encoder."""
        config = self.network.config
        read = {name: inputs[name] for name in REGIONS if name in inputs and "image" in modalities}
        if "text" in modalities:
            read["input_ids"] = inputs["input_ids"]
        else:
            feats = inputs["vis_feats"]
            empty = [token for token in (config.bos_token_id, config.eos_token_id) if token is not None]
            read["input_ids"] = torch.tensor(empty, device=feats.device).repeat(len(feats), 1)
        return read

    def parts(self) -> dict[str, Sequence[nn.Module]]:
        """`visual`, `embeddings`, `encoder` and `language_model`, as the network has them, and `projection`."""
        return {**self.network.parts(), "projection": [self.head]}


def _reading(settings: VLSettings, tokenizer: OFATokenizer) -> Reading:
    return Reading(OFATexts(tokenizer, settings.max_length, settings.lowercase), regions=True)


def _network(settings: VLSettings, reading: Reading) -> VLModel:
    """The network that the settings name."""
    texts: Any = reading.texts
    if settings.path is not None and Path(settings.path).is_dir():
        network, _ = VL().load(settings.path)
    else:
        network = VL().build(settings.section(), texts.tokenizer)
    if len(texts) > network.config.vocab_size:
        network.resize_token_embeddings(len(texts))
    return network.train()
