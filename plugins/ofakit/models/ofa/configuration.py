"""The configuration of an OFA model: the stock configuration keys, their defaults, and the released sizes by name.

    OFAConfig.from_size("base", dropout=0.0)
    OFAConfig.from_pretrained("work_dir/run/output")      # reads config.json

Keys and defaults are those of ModelScope 1.40.2, `models/multi_modal/ofa/configuration_ofa.py`.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import Field

from ofakit.config.backbone import BackboneSection
from ofakit.config.load import checked
from ofakit.config.values import checked_value, resolved_annotations
from ofakit.errors import UsageError, did_you_mean
from ofakit.models.network_config import NetworkConfig

__all__ = ["RESNET_BLOCKS", "SIZES", "OFAConfig", "drop_path_rates"]

RESNET_BLOCKS = {
    "resnet18": (2, 2, 2),
    "resnet34": (3, 4, 6),
    "resnet50": (3, 4, 6),
    "resnet101": (3, 4, 23),
    "resnet152": (3, 8, 36),
}
"""Bottleneck blocks in each of the three stages, by `resnet_type`."""

ACTIVATIONS = ("gelu", "gelu_new", "relu", "silu")

SIZES = {  # d_model, encoder layers, decoder layers, heads, resnet_type; the feed-forward width is 4 x d_model
    "tiny": (256, 4, 4, 4, "resnet50"),
    "medium": (512, 4, 4, 8, "resnet101"),
    "base": (768, 6, 6, 12, "resnet101"),
    "large": (1024, 12, 12, 16, "resnet152"),
    "huge": (1280, 24, 12, 16, "resnet152"),
}
"""The released sizes: 33M, 93M, 180M, 470M and 930M parameters."""


Rows = Annotated[int, Field(ge=1, le=10_000_000)]
Token = Annotated[int, Field(ge=0, le=10_000_000)]
Width = Annotated[int, Field(ge=1, le=1_000_000)]
Layers = Annotated[int, Field(ge=0, le=1000)]
Count = Annotated[int, Field(ge=1, le=100_000)]
Buckets = Annotated[int, Field(ge=2, le=1000)]
Share = Annotated[float, Field(ge=0, le=1)]
Factor = Annotated[float, Field(ge=0, le=1_000_000)]
Positive = Annotated[float, Field(gt=0, le=1_000_000)]


@dataclass
class _Fields:
    vocab_size: Rows = 59457
    max_position_embeddings: Count = 1024
    encoder_layers: Layers = 4
    encoder_ffn_dim: Width = 2048
    encoder_attention_heads: int = 8
    decoder_layers: Layers = 4
    decoder_ffn_dim: Width = 2048
    decoder_attention_heads: int = 8
    encoder_layerdrop: Share = 0.0
    decoder_layerdrop: Share = 0.0
    use_cache: bool = True
    is_encoder_decoder: bool = True
    activation_function: str = "gelu"
    d_model: Width = 512
    dropout: Share = 0.1
    attention_dropout: Share = 0.0
    activation_dropout: Share = 0.0
    init_std: Factor = 0.02
    classifier_dropout: Share = 0.0
    scale_embedding: bool = False
    pad_token_id: Token = 1
    bos_token_id: Token = 0
    decoder_start_token_id: Token = 0
    eos_token_id: Token = 2
    forced_eos_token_id: int | None = 2
    encoder_normalize_before: bool = True
    decoder_normalize_before: bool = True
    normformer: bool = True
    encoder_drop_path_rate: Share = 0.0
    decoder_drop_path_rate: Share = 0.0
    layernorm_embedding: bool = True
    patch_layernorm_embedding: bool = True
    resnet_type: str = "resnet101"
    resnet_model_path: str | None = None
    resnet_drop_path_rate: Share = 0.0
    token_bucket_size: Count = 256
    image_bucket_size: Buckets = 42
    add_type_embedding: bool = True
    share_decoder_input_output_embed: bool = True
    attn_scale_factor: Positive = 2.0
    code_layernorm_embedding: bool = True
    code_image_size: Count = 128
    entangle_position_embedding: bool = False
    interpolate_position: bool = False
    orig_patch_image_size: Count = 224
    share_attn_bias: bool = False
    use_image_feature: bool = True
    disable_entangle: bool = False
    use_ofasys: bool = False
    vit_type: str = "vit_base"
    vit_drop_path_rate: Share = 0.0
    use_gamma_feature: bool = False
    gamma: Factor = 1.0
    exclude_mlp: bool = True
    temperature_init_value: float | None = None
    remove_decoder_type_embedding: bool = False
    mlp_dim: Width = 512
    backbone: dict[str, Any] | None = None
    adapter: dict[str, Any] | None = None
    extra: dict[str, Any] = field(default_factory=dict)


_NAMES = tuple(f.name for f in dataclasses.fields(_Fields) if f.name != "extra")
_OURS = ("backbone", "adapter")
"""Keys that the stock configuration has not; they are written only where they are set."""


class OFAConfig(_Fields, NetworkConfig):
    """The configuration of an `OFAModel`.

    Args:
        **keys: Stock configuration keys; those that are left out have the stock defaults. A key that is none of OFA's
            own (transformers writes many) changes nothing here, is kept in `extra` and written back.

    Raises:
        UsageError: A value of a wrong type, a variant that is not supported, such as `use_ofasys`, or sizes that do not
            fit together.

    >>> config = OFAConfig.from_size("tiny", dropout=0.0)
    >>> config.d_model, config.encoder_layers, config.resnet_type
    (256, 4, 'resnet50')
    """

    model_types, usual_type, family = ("ofa",), "ofa", "OFA"

    def __init__(self, **keys: Any) -> None:
        if not isinstance(keys.get("extra", {}), dict):
            raise UsageError(
                f"key 'extra' of OFA's configuration: expected an object, found {keys['extra']!r:.100}", "extra"
            )
        extra = {**keys.pop("extra", {}), **{key: keys.pop(key) for key in list(keys) if key not in _NAMES}}
        owner, annotations = "OFA's configuration", resolved_annotations(_Fields)
        super().__init__(
            **{key: checked_value(value, annotations[key], key, owner) for key, value in keys.items()}, extra=extra
        )
        self._check()

    def _check(self) -> None:
        if self.use_ofasys:
            raise UsageError(
                "use_ofasys=true (an OFA-Sys model with a vision transformer) is not supported; expected a model of"
                " the original OFA, whose images go through a ResNet (use_ofasys=false)"
            )
        if self.resnet_type not in RESNET_BLOCKS:
            raise UsageError(
                f"unknown resnet_type {self.resnet_type!r}: {did_you_mean(self.resnet_type, RESNET_BLOCKS)}"
            )
        if self.activation_function not in ACTIVATIONS:
            known = did_you_mean(str(self.activation_function), ACTIVATIONS)
            raise UsageError(f"unsupported activation_function {self.activation_function!r}: {known}")
        for heads in ("encoder_attention_heads", "decoder_attention_heads"):
            if getattr(self, heads) < 1 or self.d_model % getattr(self, heads):
                raise UsageError(
                    f"d_model must be a multiple of {heads}, found {self.d_model} and {getattr(self, heads)}"
                )
        if not self.is_encoder_decoder:
            raise UsageError("is_encoder_decoder=false is not supported; OFA has an encoder and a decoder")

        if self.backbone is not None:
            self.backbone = checked(BackboneSection, self.backbone).network()

    @classmethod
    def from_size(cls, size: str, **overrides: Any) -> OFAConfig:
        """The configuration of a released size.

        Args:
            size: `tiny`, `medium`, `base`, `large` or `huge`.
            **overrides: Keys that shall differ.

        Raises:
            UsageError: There is no such size.
        """
        if size not in SIZES:
            raise UsageError(f"unknown OFA size {size!r}: {did_you_mean(size, SIZES)}")
        width, encoder_layers, decoder_layers, heads, resnet = SIZES[size]
        keys: dict[str, Any] = {"d_model": width, "resnet_type": resnet}
        for side, layers in (("encoder", encoder_layers), ("decoder", decoder_layers)):
            keys |= {f"{side}_layers": layers, f"{side}_ffn_dim": 4 * width, f"{side}_attention_heads": heads}
        return cls(**{**keys, **overrides})

    def to_dict(self) -> dict[str, Any]:
        """Every key, as the stock code reads them."""
        own = {name: getattr(self, name) for name in _NAMES}
        own = {name: value for name, value in own.items() if name not in _OURS or value is not None}
        return {**self.extra, "model_type": "ofa", "architectures": ["OFAModel"], **own}


def drop_path_rates(last: float, count: int) -> list[float]:
    """Probabilities of dropping a branch that grow evenly from 0.

    Args:
        last: The last layer's.
        count: Number of layers.

    >>> drop_path_rates(0.2, 3)
    [0.0, 0.1, 0.2]
    """
    return [last * index / max(count - 1, 1) for index in range(count)]
