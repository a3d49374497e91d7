"""fairseq's OFA checkpoints: its names for the weights, its names for the settings, and reading a file without it.

Source: github.com/OFA-Sys/OFA, `models/ofa/unify_transformer.py`, `unify_transformer_layer.py` and `ofa.py`.
"""

from __future__ import annotations

import re
from argparse import Namespace
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from ofakit.errors import UsageError
from ofakit.models.ofa.configuration import RESNET_BLOCKS, OFAConfig

__all__ = [
    "config_from_weights",
    "fairseq_checkpoint",
    "fairseq_settings",
    "from_fairseq_names",
    "inert_classes",
    "plain_settings",
]

_LAYER_NAMES = (  # fairseq, stock; matched after "encoder.layers.N." or "decoder.layers.N."
    ("self_attn_ln.", "self_attn_mid_layer_norm."),
    ("attn_ln.", "self_attn_mid_layer_norm."),
    ("cross_attn_ln.", "cross_attn_mid_layer_norm."),
    ("encoder_attn_layer_norm.", "cross_attn_layer_norm."),
    ("encoder_attn.", "cross_attn."),
    ("ffn_layernorm.", "ffn_layer_norm."),
)
_SETTINGS = {  # stock, fairseq
    "activation_function": "activation_fn",
    "attn_scale_factor": "attn_scale_factor",
    "attention_dropout": "attention_dropout",
    "activation_dropout": "activation_dropout",
    "dropout": "dropout",
    "encoder_normalize_before": "encoder_normalize_before",
    "decoder_normalize_before": "decoder_normalize_before",
    "encoder_layerdrop": "encoder_layerdrop",
    "decoder_layerdrop": "decoder_layerdrop",
    "encoder_drop_path_rate": "encoder_drop_path_rate",
    "decoder_drop_path_rate": "decoder_drop_path_rate",
    "resnet_drop_path_rate": "resnet_drop_path_rate",
    "entangle_position_embedding": "entangle_position_embedding",
    "disable_entangle": "disable_entangle",
    "interpolate_position": "interpolate_position",
    "orig_patch_image_size": "orig_patch_image_size",
    "code_image_size": "code_image_size",
}
SIDES = ("encoder", "decoder")
_SHARED = ("encoder.embed_tokens.weight", "decoder.embed_tokens.weight", "decoder.output_projection.weight")
"""The token embedding; a file may hold a shared tensor once, under any of its names."""
_SETTINGS_LIBRARIES = ("fairseq.", "omegaconf.", "numpy.", "typing.")
_PLAIN_TYPES = ("bool", "dict", "float", "int", "list", "object", "str", "tuple")


class Inert:
    """Stands for a settings class of another library: keeps the state that a pickle holds and can do nothing."""

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        self.__dict__.update(state if isinstance(state, dict) else {})


def inert_classes(names: Iterable[str]) -> list[Any]:
    """What may stand in a fairseq file besides tensors and plain values, for `torch.serialization.safe_globals`.

    Args:
        names: Dotted names of what a pickle asks for. Settings classes of fairseq, OmegaConf and NumPy get something
            inert in their place, whatever the name says; nothing is imported.
    """
    plain = {f"builtins.{name}" for name in _PLAIN_TYPES}
    inert = [name for name in names if name.startswith(_SETTINGS_LIBRARIES) or name in plain]
    return [Namespace, defaultdict, *((type(name.rsplit(".")[-1], (Inert,), {}), name) for name in inert)]


def from_fairseq_names(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Give weights their stock names.

    Args:
        weights: With fairseq's names, or with stock names, which stay.

    Raises:
        UsageError: The model has parts that OFA's released models have not: adapters, scaled residuals.
    """
    renamed = {}
    for name, value in weights.items():
        head = re.match(r"(en|de)coder\.layers\.\d+\.", name)
        if head:
            rest = name[head.end() :]
            if rest.startswith(("w_resid", "adapter.")):
                raise UsageError(f"the checkpoint has {name!r}: scaled residuals and adapters are not supported")
            for old, new in _LAYER_NAMES:
                if rest.startswith(old):
                    rest = new + rest[len(old) :]
                    break
            name = head.group() + rest
        if not name.endswith((".version", "_float_tensor")) and not name.startswith("classification_heads."):
            renamed[name] = value
    return renamed


def _to_fairseq_name(name: str) -> str:
    head = re.match(r"(en|de)coder\.layers\.\d+\.", name)
    if not head:
        return name
    rest = name[head.end() :]
    for old, new in _LAYER_NAMES:
        if rest.startswith(new) and not (head.group(1) == "en" and old == "self_attn_ln."):
            return head.group() + old + rest[len(new) :]
    return name


def fairseq_settings(checkpoint: Mapping[str, Any]) -> dict[str, Any]:
    """The stock configuration keys that a fairseq file's own settings give; structure comes from the weights.

    Args:
        checkpoint: The whole content of the file.
    """
    settings = plain_settings(checkpoint.get("cfg")) or {}
    model = settings.get("model") if isinstance(settings, dict) else None
    arguments = model or plain_settings(checkpoint.get("args")) or {}
    keys = {stock: arguments[theirs] for stock, theirs in _SETTINGS.items() if arguments.get(theirs) is not None}
    if arguments.get("no_scale_embedding") is not None:
        keys["scale_embedding"] = not arguments["no_scale_embedding"]
    return keys


def plain_settings(value: Any) -> Any:
    """Settings as dicts and plain values, whatever class held them.

    Args:
        value: What a fairseq file holds as `cfg` or `args`.
    """
    if isinstance(value, Namespace):
        value = vars(value)
    if isinstance(value, Inert):
        state = vars(value)
        value = state.get("_val", state.get("_content"))
    if isinstance(value, dict):
        return {str(key): plain_settings(item) for key, item in value.items()}
    return value


def config_from_weights(weights: Mapping[str, Tensor], **settings: Any) -> OFAConfig:
    """The configuration of a model of which only the weights are known.

    Args:
        weights: Under stock names.
        **settings: Keys that weights do not tell, such as `dropout`; they win over what is found.

    Raises:
        UsageError: These are not the weights of an OFA model.
    """
    shapes = {name: tuple(value.shape) for name, value in weights.items()}
    if not settings.get("backbone") and any(name.startswith("encoder.embed_images.network.") for name in shapes):
        raise UsageError("these weights belong to an OFA with a timm backbone, which only a model directory records")
    try:
        keys = _sizes(shapes)
    except KeyError as error:
        raise UsageError(f"not the weights of an OFA model: {error.args[0]!r} is missing") from None
    present = {
        "layernorm_embedding": "encoder.layernorm_embedding.weight",
        "patch_layernorm_embedding": "encoder.patch_layernorm_embedding.weight",
        "code_layernorm_embedding": "decoder.code_layernorm_embedding.weight",
        "add_type_embedding": "encoder.type_embedding.weight",
        "use_image_feature": "encoder.image_proj.weight",
        "encoder_normalize_before": "encoder.layer_norm.weight",
        "decoder_normalize_before": "decoder.layer_norm.weight",
    }
    keys |= {key: name in shapes for key, name in present.items()}
    in_layers = {"normformer": "ffn_layer_norm.weight", "use_gamma_feature": "weight_ffn"}
    keys |= {key: any(f"{side}.layers.0.{name}" in shapes for side in SIDES) for key, name in in_layers.items()}
    *embeddings, projection = (weights.get(name) for name in _SHARED)
    if projection is not None:
        keys["share_decoder_input_output_embed"] = all(torch.equal(projection, e) for e in embeddings if e is not None)
    if "mlp_head.weight" in weights:
        keys |= {"exclude_mlp": False, "mlp_dim": len(weights["mlp_head.weight"])}
    if "temp" in weights:
        keys["temperature_init_value"] = float(weights["temp"])
    return OFAConfig(**{**keys, **settings})


def _sizes(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any]:
    keys: dict[str, Any] = {}
    keys["vocab_size"], keys["d_model"] = shapes[next((name for name in _SHARED if name in shapes), _SHARED[0])]
    keys["max_position_embeddings"] = shapes["encoder.embed_positions.weight"][0] - 2
    counts = {side: _count(shapes, rf"{side}\.layers\.(\d+)\.") for side in SIDES}
    tables = {_count(shapes, rf"{side}\.token_rel_pos_table_list\.(\d+)\.") for side in SIDES if counts[side]}
    for side, other in (SIDES, SIDES[::-1]):
        keys[f"{side}_layers"] = counts[side]
        like = side if counts[side] else other  # one without layers says nothing of them
        keys[f"{side}_ffn_dim"] = shapes[f"{like}.layers.0.fc1.weight"][0]
        table = shapes[f"{like}.token_rel_pos_table_list.0.weight"]
        keys[f"{side}_attention_heads"] = table[1]
    keys["share_attn_bias"] = tables == {1} and max(counts.values()) > 1
    keys["token_bucket_size"] = (table[0] + 1) // 2
    keys["image_bucket_size"] = round((shapes["decoder.embed_image_positions.weight"][0] - 1) ** 0.5)
    blocks = tuple(_count(shapes, rf"encoder\.embed_images\.layer{stage}\.(\d+)\.") for stage in (1, 2, 3))
    if blocks != (0, 0, 0):
        names = {counts: name for name, counts in reversed(RESNET_BLOCKS.items()) if name != "resnet34"}
        if blocks not in names:
            raise UsageError(f"a visual backbone of {blocks} blocks is not one of OFA's: {RESNET_BLOCKS}")
        keys["resnet_type"] = names[blocks]
    return keys


def _count(shapes: Mapping[str, Any], pattern: str) -> int:
    found = (re.match(pattern, name) for name in shapes)
    return max((int(match.group(1)) + 1 for match in found if match), default=0)


def fairseq_checkpoint(weights: Mapping[str, Tensor], config: OFAConfig) -> dict[str, Any]:
    """A whole fairseq file, to be written with `torch.save`.

    Args:
        weights: The stock state dict, integer tables included.
        config: The model's configuration.
    """
    renamed = {_to_fairseq_name(name): value for name, value in weights.items()}
    renamed |= {f"{side}.version": torch.tensor([3.0]) for side in ("encoder", "decoder")}
    index = renamed.get("decoder.image_position_idx")
    if index is not None:
        renamed["decoder.image_position_idx"] = torch.cat([index, index[-1:]])
    arguments = {theirs: getattr(config, stock) for stock, theirs in _SETTINGS.items()}
    for side in ("encoder", "decoder"):
        arguments[f"{side}_embed_dim"] = config.d_model
        for theirs in ("layers", "attention_heads"):
            arguments[f"{side}_{theirs}"] = getattr(config, f"{side}_{theirs}")
        arguments[f"{side}_ffn_embed_dim"] = getattr(config, f"{side}_ffn_dim")
    same = ["resnet_type", "token_bucket_size", "image_bucket_size", "add_type_embedding", "layernorm_embedding"]
    same += ["patch_layernorm_embedding", "code_layernorm_embedding", "share_decoder_input_output_embed"]
    arguments |= {name: getattr(config, name) for name in same}
    arguments |= {"scale_attn": config.normformer, "scale_fc": config.normformer, "scale_heads": True}
    arguments |= {"no_scale_embedding": not config.scale_embedding, "share_all_embeddings": True, "arch": "ofa_large"}
    model = Namespace(_name="ofa_large", scale_resids=False, **arguments)
    return {"args": None, "cfg": {"_name": None, "model": model}, "model": renamed, "extra_state": {}, "task_state": {}}
