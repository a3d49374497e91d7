"""The configuration of a VL-T5 or VL-BART: one set of keys for both families, read from their own `config.json`.

    VLConfig(**keys)                        # of the config.json of j-min/VL-T5, ylsung/VL_adapter or Hugging Face
    VLConfig.from_size("bart-base", vocab_size=50465)

T5 and BART call the same things by different names (`num_layers`, `encoder_layers`); either is read, BART's are kept.
Keys and defaults: transformers 4.2.1 (`T5Config`, `BartConfig`) and `VL-T5/src/trainer_base.py` of j-min/VL-T5 a07d779.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import Field

from ofakit.config.values import checked_value, resolved_annotations
from ofakit.errors import UsageError, did_you_mean
from ofakit.models.adapters.stock import adapter_of_stock
from ofakit.models.network_config import NetworkConfig

__all__ = ["SIZES", "VLConfig"]

Rows = Annotated[int, Field(ge=1, le=10_000_000)]
Token = Annotated[int, Field(ge=0, le=10_000_000)]
Width = Annotated[int, Field(ge=1, le=1_000_000)]
Layers = Annotated[int, Field(ge=0, le=1000)]
Count = Annotated[int, Field(ge=1, le=100_000)]
Share = Annotated[float, Field(ge=0, lt=1)]
Factor = Annotated[float, Field(ge=0, le=1_000_000)]


@dataclass
class _Fields:
    model_type: Literal["t5", "bart"] = "bart"
    vocab_size: Rows = 50465
    d_model: Width = 768
    d_kv: Width = 64
    encoder_layers: Layers = 6
    decoder_layers: Layers = 6
    encoder_attention_heads: Count = 12
    decoder_attention_heads: Count = 12
    encoder_ffn_dim: Width = 3072
    decoder_ffn_dim: Width = 3072
    activation_function: Literal["gelu", "gelu_new", "relu", "silu"] = "gelu"
    gated_feed_forward: bool = False
    dropout: Share = 0.1
    attention_dropout: Share = 0.1
    activation_dropout: Share = 0.1
    layer_norm_epsilon: Annotated[float, Field(gt=0, le=1)] = 1e-5
    init_std: Factor = 0.02
    max_position_embeddings: Count = 1024
    scale_embedding: bool = False
    relative_attention_num_buckets: Annotated[int, Field(ge=4, le=100_000)] = 32
    relative_attention_max_distance: Count = 128
    tie_word_embeddings: bool = True
    scale_decoder_outputs: bool = True
    pad_token_id: Token = 1
    bos_token_id: Token | None = 0
    eos_token_id: Token = 2
    decoder_start_token_id: Token = 2
    forced_eos_token_id: Token | None = 2
    feat_dim: Width = 2048
    pos_dim: Annotated[int, Field(ge=4, le=4)] = 4
    n_images: Count = 2
    n_boxes: Count = 36
    downsample: bool = False
    use_vis_layer_norm: bool = True
    individual_vis_layer_norm: bool = True
    share_vis_lang_layer_norm: bool = False
    use_vis_order_embedding: bool = True
    region_rows: Rows | None = None
    additional_visual_embedding_layers: Layers = 0
    timm_backbone: dict[str, Any] | None = None
    adapter: dict[str, Any] | None = None
    extra: dict[str, Any] = field(default_factory=dict)


_NAMES = tuple(f.name for f in dataclasses.fields(_Fields) if f.name != "extra")

_T5_NAMES = {
    "num_layers": ("encoder_layers",),
    "num_decoder_layers": ("decoder_layers",),
    "num_heads": ("encoder_attention_heads", "decoder_attention_heads"),
    "d_ff": ("encoder_ffn_dim", "decoder_ffn_dim"),
    "dropout_rate": ("dropout", "attention_dropout", "activation_dropout"),
    "initializer_factor": ("init_std",),
}
"""What T5 calls things, and what they are called here; its one rate of dropout is that of every place."""

_T5_DEFAULTS = {
    "d_kv": 64, "encoder_layers": 12, "decoder_layers": 12, "activation_function": "relu", "layer_norm_epsilon": 1e-6,
    "init_std": 1.0, "pad_token_id": 0, "bos_token_id": None, "eos_token_id": 1, "decoder_start_token_id": 0,
    "forced_eos_token_id": None, "vocab_size": 32200,
}  # fmt: skip

SIZES: dict[str, dict[str, Any]] = {
    "bart-tiny": {"model_type": "bart", "d_model": 256, "encoder_layers": 4, "decoder_layers": 4},
    "bart-base": {"model_type": "bart", "d_model": 768, "encoder_layers": 6, "decoder_layers": 6},
    "bart-large": {"model_type": "bart", "d_model": 1024, "encoder_layers": 12, "decoder_layers": 12},
    "t5-tiny": {"model_type": "t5", "d_model": 256, "encoder_layers": 4, "decoder_layers": 4},
    "t5-small": {"model_type": "t5", "d_model": 512, "encoder_layers": 6, "decoder_layers": 6},
    "t5-base": {"model_type": "t5", "d_model": 768, "encoder_layers": 12, "decoder_layers": 12},
    "t5-large": {"model_type": "t5", "d_model": 1024, "encoder_layers": 24, "decoder_layers": 24},
}
"""Published sizes and two tiny ones; heads are 64 wide, the feed-forward width is 4 x d_model."""


class VLConfig(_Fields, NetworkConfig):
    """The configuration of a `VLModel`.

    Args:
        **keys: Names of BART or of T5, as `model_type` says (`bart` where it is left out). What is left out has the
            defaults of the published VL-T5 or VL-BART. A key that is none of these (transformers and the original
            trainers write many) changes nothing, is kept in `extra` and written back. The keys in which VL_adapter
            describes adapters, LoRA and prompts become `adapter`, as in `model.adapter` of an experiment.

    Raises:
        UsageError: A value of a wrong type, or sizes that do not fit together.

    >>> config = VLConfig(model_type="t5", num_layers=2, num_decoder_layers=2, d_model=64, num_heads=4, d_kv=12)
    >>> config.encoder_layers, config.encoder_attention_heads, config.pad_token_id
    (2, 4, 0)
    """

    model_types, family = ("t5", "bart"), "VL-T5, VL-BART, T5 or BART"

    def __init__(self, **keys: Any) -> None:
        known = _known(keys)
        given = {name: known.pop(name) for name in list(known) if name in _NAMES}
        extra = {**(known.pop("extra", None) or {}), **known}
        owner, annotations = "VL's configuration", resolved_annotations(_Fields)
        super().__init__(
            **{key: checked_value(value, annotations[key], key, owner) for key, value in given.items()}, extra=extra
        )
        self._check()

    def _check(self) -> None:
        if self.model_type == "bart":
            for heads in ("encoder_attention_heads", "decoder_attention_heads"):
                if self.d_model % getattr(self, heads):
                    raise UsageError(
                        f"d_model must be a multiple of {heads}, found {self.d_model} and {getattr(self, heads)}", heads
                    )
            if not self.tie_word_embeddings:
                raise UsageError(
                    "tie_word_embeddings=false is not supported for BART, whose embeddings are its output projection"
                )
        elif self.share_vis_lang_layer_norm:
            raise UsageError(
                "share_vis_lang_layer_norm is for BART: T5 has no layer norm on its embeddings; leave it out"
            )
        elif self.encoder_attention_heads != self.decoder_attention_heads:
            raise UsageError("T5's encoder and decoder have the same number of heads; set num_heads")

    @property
    def is_t5(self) -> bool:
        """Whether the language model is T5, otherwise BART."""
        return self.model_type == "t5"

    @classmethod
    def from_size(cls, size: str, **overrides: Any) -> VLConfig:
        """The configuration of a published size.

        Args:
            size: A key of `SIZES`.
            **overrides: Keys that shall differ.

        Raises:
            UsageError: There is no such size.
        """
        if size not in SIZES:
            raise UsageError(f"unknown size {size!r}: {did_you_mean(size, SIZES)}", "size")
        keys = dict(SIZES[size])
        for side in ("encoder", "decoder"):
            keys |= {f"{side}_ffn_dim": 4 * keys["d_model"], f"{side}_attention_heads": keys["d_model"] // 64}
        return cls(**{**keys, **overrides})

    def to_dict(self) -> dict[str, Any]:
        """Every key, `extra` included; T5's `config.json` and BART's are read from it alike."""
        own = {name: getattr(self, name) for name in _NAMES}
        return {**self.extra, **own}


def _known(keys: Mapping[str, Any]) -> dict[str, Any]:
    """Keys under the names that they have here, with the defaults of their family."""
    found = {"adapter": adapter_of_stock(keys), **keys}
    if keys.get("model_type") != "t5":
        return _without_foreign_tokens(found)
    named = {ours: keys[theirs] for theirs, names in _T5_NAMES.items() if theirs in keys for ours in names}
    if keys.get("tie_word_embeddings") is False:
        named["scale_decoder_outputs"] = False
    if "d_model" in keys and "encoder_ffn_dim" not in {**named, **keys}:
        named |= {f"{side}_ffn_dim": 4 * keys["d_model"] for side in ("encoder", "decoder")}
    if isinstance(keys.get("feed_forward_proj"), str):
        named |= _feed_forward(keys["feed_forward_proj"])
    rest = {key: value for key, value in found.items() if key not in _T5_NAMES}
    # A directory of ours has both names of the rates; a stock one has BART's as well, which T5 does not read.
    return _without_foreign_tokens({**_T5_DEFAULTS, **rest, **named})


def _feed_forward(kind: str) -> dict[str, Any]:
    """T5's `feed_forward_proj`, such as `relu` or `gated-gelu`, whose GELU is the approximate one."""
    name = kind.removeprefix("gated-")
    gated = name != kind
    return {"activation_function": "gelu_new" if gated and name == "gelu" else name, "gated_feed_forward": gated}


def _without_foreign_tokens(keys: dict[str, Any]) -> dict[str, Any]:
    """Keys with a value; a configuration of transformers says null where it has none."""
    may_be_none = ("bos_token_id", "forced_eos_token_id", "adapter", "timm_backbone", "region_rows")
    return {key: value for key, value in keys.items() if value is not None or key in may_be_none}
