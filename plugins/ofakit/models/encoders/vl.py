"""VL-T5 and VL-BART as encoders of texts, images as regions, or both: their states pooled, or the decoder's first one.

    {"type": "vl", "path": "MODEL_DIR", "pooling": "mean", "projection": 256, "normalize": true}
    {"type": "vl", "size": "tiny", "config": {"model_type": "t5", "feat_dim": 512}, "pooling": "decoder_start",
     "tokenizer": {"train_vocab_size": 2000}}

`pooling` `sum` and `concat` take the last `layers` states of the encoder, the last one as the decoder reads it. An
image alone is read with an empty text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import Field
from torch import Tensor

from ofakit.config.schema import ModelSection, TokenizerSection
from ofakit.config.section import PathText
from ofakit.models.encoders._sequence_model import SequenceModelEncoder
from ofakit.models.encoders.base import EncoderSettings
from ofakit.models.encoders.ofa import OFATexts
from ofakit.models.heads.pooling import Pooling
from ofakit.models.reading import Reading
from ofakit.models.types.vl import VL
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
    layers: int = Field(1, ge=1, le=1000, description="number of last layers that `sum` and `concat` combine")
    max_length: int = Field(128, ge=3, le=10_000, description="most tokens per text, including bos and eos")
    lowercase: bool = True
    task: str | None = Field(None, description="task whose adapters are used, if tasks have their own")

    def section(self) -> ModelSection:
        """The same as the section `model` of a captioner."""
        names = ("path", "size", "config", "tokenizer")
        return ModelSection(**{name: getattr(self, name) for name in names})


class VLEncoder(SequenceModelEncoder):
    """Texts and regions through VL-T5 or VL-BART.

    Args:
        settings: Its keys.
        reading: Whose vocabulary the network has.

    Raises:
        UsageError: A key of `config` is unknown, or the weights do not fit.
    """

    Settings = VLSettings
    kind = VL

    @staticmethod
    def reading_of(settings: VLSettings, tokenizer: OFATokenizer) -> Reading:
        """Texts in OFA's way, and images as regions.

        Args:
            settings: Its keys.
            tokenizer: The tokenizer.
        """
        return Reading(OFATexts(tokenizer, settings.max_length, settings.lowercase), regions=True)

    @property
    def start_token(self) -> int:
        """That of the network's configuration."""
        return self.network.config.decoder_start_token_id

    def own_config(self) -> dict[str, Any]:
        """The keys of `config`, without those of other code and without adapters, which a retriever keeps itself."""
        return {name: value for name, value in super().own_config().items() if name not in ("extra", "adapter")}

    def states(self, encoded: Any) -> Sequence[Tensor]:
        """The states of the encoder, the last one as the decoder reads it.

        Args:
            encoded: What the network's `encode` gave.
        """
        return (*super().states(encoded)[:-1], encoded.last_hidden_state)

    def read(self, inputs: Mapping[str, Tensor], modalities: Sequence[str]) -> dict[str, Any]:
        """The arguments of the network's encoder.

        Args:
            inputs: `input_ids` `(n, T)`, and of `vis_feats` `(n, N, f)`, `boxes`, `vis_attention_mask`,
                `img_order_ids` and `obj_order_ids` those that are there.
            modalities: Which of `text` and `image` the vectors are of.
        """
        read = {name: inputs[name] for name in REGIONS if name in inputs and "image" in modalities}
        text = inputs["input_ids"] if "text" in modalities else self.no_text(inputs["vis_feats"])
        return {**read, "input_ids": text, "task": self.settings.task}
