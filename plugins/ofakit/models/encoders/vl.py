"""VL-T5 and VL-BART as encoders of texts, images or both: their states pooled, or the decoder's first one.

    {"type": "vl", "path": "MODEL_DIR", "pooling": "mean", "projection": 256, "normalize": true}
    {"type": "vl", "size": "tiny", "config": {"model_type": "t5", "feat_dim": 512}, "pooling": "decoder_start",
     "tokenizer": {"train_vocab_size": 2000}}
    {"type": "vl", "path": "MODEL_DIR", "backbone": {"name": "resnet50", "frozen": true}, "image_size": 224}

Images are read as regions, or with a `backbone` as pixels, as by a model that was trained with one; all images of an
example, one after another.

`pooling` `sum` and `concat` take the last `layers` states of the encoder, the last one as the decoder reads it. An
image alone is read with an empty text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field
from torch import Tensor

from ofakit.config.backbone import BackboneSection
from ofakit.config.component import Component
from ofakit.config.schema import ModelSection, TokenizerSection
from ofakit.config.section import PathText
from ofakit.models.adapters.adding import adapter_of
from ofakit.models.encoders._sequence_model import SequenceModelEncoder
from ofakit.models.encoders.base import EncoderSettings
from ofakit.models.encoders.ofa import OFATexts
from ofakit.models.heads.pooling import Pooling
from ofakit.models.reading import Reading
from ofakit.models.types.vl import VL
from ofakit.models.vl.configuration import VLConfig
from ofakit.text.base_tokenizer import BaseTokenizer

__all__ = ["VLEncoder", "VLSettings"]

REGIONS = ("vis_feats", "boxes", "vis_attention_mask", "img_order_ids", "obj_order_ids")
PIXELS = {"patch_images": "images", "patch_masks": "image_mask", "image_index": "image_index"}
"""What the network calls images, and what an encoder's inputs call them."""


class VLSettings(EncoderSettings):
    """The keys of `vl`: those of the section `model`, and how its states are pooled."""

    path: PathText | None = Field(None, description="start from this model directory or file")
    size: Literal["tiny", "base", "large"] = Field("tiny", description="published size, if no path")
    config: dict[str, Any] = Field(default_factory=dict, description="keys of the configuration to override")
    tokenizer: TokenizerSection = Field(default_factory=TokenizerSection)
    backbone: BackboneSection | None = Field(None, description="a timm network that sees pixels; null: regions")
    adapter: Component | None = Field(None, description="as `model.adapter` of a captioner")
    image_size: int = Field(224, ge=16, le=4096, description="pixels a side, with a backbone")
    pooling: Pooling | Literal["decoder_start"] = "mean"
    layers: int = Field(1, ge=1, le=1000, description="number of last layers that `sum` and `concat` combine")
    max_length: int = Field(128, ge=3, le=10_000, description="most tokens per text, including bos and eos")
    lowercase: bool = True
    task: str | None = Field(None, description="task whose adapters are used, if tasks have their own")

    def section(self) -> ModelSection:
        """The same as the section `model` of a captioner."""
        names = ("path", "size", "config", "tokenizer", "backbone", "adapter")
        return ModelSection(**{name: getattr(self, name) for name in names})

    @property
    def sees_pixels(self) -> bool:
        """Whether the model has a backbone: one of its own, or that of its directory."""
        if self.backbone is not None or self.path is None or not Path(self.path).is_dir():
            return self.backbone is not None
        return VLConfig.from_pretrained(self.path).timm_backbone is not None


class VLEncoder(SequenceModelEncoder):
    """Texts and images through VL-T5 or VL-BART.

    Args:
        settings: Its keys.
        reading: Whose vocabulary the network has.
        network: The network, which others have too; None makes that of the settings.

    Raises:
        UsageError: A key of `config` is unknown, or the weights do not fit.
    """

    Settings = VLSettings
    kind = VL
    reads_regions = True

    @staticmethod
    def reading_of(settings: VLSettings, tokenizer: BaseTokenizer) -> Reading:
        """Texts in OFA's way, and images as regions or as pixels.

        Args:
            settings: Its keys.
            tokenizer: The tokenizer.
        """
        texts = OFATexts(tokenizer, settings.max_length, settings.lowercase)
        if settings.sees_pixels:
            return Reading(texts, settings.image_size, several_images=True)
        return Reading(texts, regions=True)

    @property
    def start_token(self) -> int:
        """That of the network's configuration."""
        return self.network.config.decoder_start_token_id

    def own_config(self) -> dict[str, Any]:
        """The keys of `config`, without those of other code and those that are settings of their own."""
        elsewhere = ("extra", "adapter", "timm_backbone")
        return {name: value for name, value in super().own_config().items() if name not in elsewhere}

    def own_settings(self, settings: VLSettings) -> dict[str, Any]:
        """Backbone and adapters of the network, whose weights are among its own.

        Args:
            settings: Those that it was made from.
        """
        adapter = adapter_of(self.network)
        found = {"adapter": None if adapter is None else Component(**adapter), **self.settings_around(self.network)}
        if found["backbone"] is not None and settings.backbone is not None:
            loaded = {"weights": None, "pretrained": False, "feature_store": None}
            found["backbone"] = settings.backbone.model_copy(update=loaded)
        return found

    @classmethod
    def settings_around(cls, network: Any) -> dict[str, Any]:
        """The backbone.

        Args:
            network: A `VLModel`.
        """
        backbone = network.backbone
        return {"backbone": None if backbone is None else BackboneSection(**backbone.section.network())}

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
                `img_order_ids` and `obj_order_ids` those that are there; with a backbone `images` `(n, 3, H, W)` uint8
                and `image_mask` `(n,)` bool in place of these, or where an example has several images `(M, 3, H, W)`
                and `image_index` `(n, K)` int64, as `VLModel.encode` takes them.
            modalities: Which of `text` and `image` the vectors are of.
        """
        named = {name: name for name in REGIONS} if self.network.reads_regions else PIXELS
        read = {name: inputs[own] for name, own in named.items() if own in inputs and "image" in modalities}
        if "image_index" in read:  # says which images are there
            read.pop("patch_masks", None)
        text = inputs["input_ids"] if "text" in modalities else self.no_text([*read.values()][-1])
        return {**read, "input_ids": text, "task": self.settings.task}

    @classmethod
    def _network(cls, settings: Any, reading: Reading) -> Any:
        """The network that the settings name, with their adapters, its backbone frozen where they say so."""
        network = super()._network(settings, reading)
        VL().train_as(network, settings.section())
        return network.train()
