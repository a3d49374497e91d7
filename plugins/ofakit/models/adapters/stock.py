"""Adapters, LoRA, nets and prompts of VL-Adapter's code: its configuration and its names in ours.

Source: ylsung/VL_adapter at 545fcbb, VL-T5/src: adapters, lora, prompt, my_transformers and trainer_base.py.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal

from ofakit.models.adapters.tasks import ALL

__all__ = ["adapter_of_stock", "rename_stock_key"]

Family = Literal["t5", "bart"]

_BART_STD = 0.02
"""What the BART classes draw new linear layers and embeddings with; those of T5 leave them as PyTorch draws them."""

_OWNERS = {
    "attn_adapter": "self_attn.out_proj",
    "self_attn_adapter": "self_attn.out_proj",
    "enc_attn_adapter": "encoder_attn.out_proj",
    "ff_adapter": "fc2",
}
_LEAVES = {"phm_rule": "rule", "W": "weight", "b": "bias", "W_left": "left", "W_right": "right"}
_NORMS = {"pre_layer_norm": "norm_before", "post_layer_norm": "norm_after"}
_LAYER = re.compile(r"(encoder|decoder)\.(?:layers|block)\.(\d+)\.(?:layer\.\d+\.)?(.+)")
_ADAPTER = re.compile(r"(\w+_adapter)\.adapters\.([\w-]+)\.(down|up)_sampler\.(\w+)")
_ADAPTER_NORM = re.compile(r"(\w+_adapter)\.(pre_layer_norm|post_layer_norm)\.(\w+)")
_LORA = re.compile(r"(self_attn|encoder_attn)\.([qkv]_proj|out_proj)\.lora_(A|B)s\.([\w-]+)")
_PROMPT = re.compile(r"(?:(encoder|decoder)\.)?prompt_modules\.prompts\.([\w-]+)\.prefix_embedding\.(.+)")
_VECTOR = re.compile(r"(?:shared_task_embed|(?:encoder|decoder)\.task_embed)\.task_to_embeddings\.([\w-]+)")
_NET = re.compile(r"(encoder|decoder)\.adapter_layers_hyper_net\.(.+)")
_NET_PARTS = {
    "layer_id_embeddings": "layers",
    "adapters_block_type": "places",
    "task_hypernet.task_embeding_generator": "reader",
    "LayerNorm": "norm",
}
_MAKER = re.compile(
    r"(?:(feed_forward|self_attention|cross_attention)_)?(?:(down|up)_sampler_hyper_net|(pre|post)_layernorm_hypernet)"
    r"\.(weight|bias)_generator\.(?:0\.)?(\w+)"
)


def adapter_of_stock(config: Mapping[str, Any]) -> dict[str, Any] | None:
    """What a configuration of VL-Adapter's code says of adapters, in our keys.

    Args:
        config: Every field of it, `adapter_config`, `lora_config` and the prompts' nested.

    Returns:
        The specification for `add_adapters`; none where nothing but the language model is there.
    """
    std = None if config.get("model_type") == "t5" else _BART_STD
    if config.get("use_lora"):
        return _lora(config["lora_config"])
    nested = config.get("adapter_config")
    if nested is None:
        return _prompt(config, std)
    places = ["self_attention", "feed_forward"]
    if config.get("add_adapter_cross_attn", True):
        places.insert(1, "cross_attention")
    common = {
        "tasks": None if nested.get("use_single_adapter") else list(nested["tasks"]),
        "reduction": nested["reduction_factor"],
        "activation": nested["non_linearity"],
        "places": places,
        "norm_before": bool(nested["add_layer_norm_before_adapter"]),
        "norm_after": bool(nested["add_layer_norm_after_adapter"]),
        # There the norms are sought by a class that the T5 model does not use.
        "layer_norms": bool(config.get("unfreeze_layer_norms")) and std is not None,
        "visual": True,
    }
    return {**common, **_kind(config, nested, std)}


def _kind(config: Mapping[str, Any], nested: Mapping[str, Any], std: float | None) -> dict[str, Any]:
    """The type, and the keys that other types have not."""
    if config.get("use_hyperformer"):
        return {
            "type": "hyperformer",
            "tasks": list(nested["tasks"]),
            "one_net": bool(nested["efficient_unique_hyper_net"]),
            "task_width": nested["task_embedding_dim"],
            "hidden": nested["task_hidden_dim"],
            "projected": nested["projected_task_embedding_dim"],
            "init_std": std or 0.01,
        }
    if config.get("use_compacter"):
        return {
            "type": "compacter",
            "division": nested["hypercomplex_division"],
            "shared_rule": bool(nested["shared_phm_rule"]),
            "rank": nested["phm_rank"] if nested["factorized_phm"] else None,
            "rule_std": nested["phm_init_range"],
        }
    if config.get("use_lradapter"):
        return {"type": "low_rank", "rank": nested["low_rank_rank"]}
    shares = {f"share_{side}": bool(nested[f"share_{side}_sampler"]) for side in ("down", "up")}
    return {"type": "bottleneck", **shares, "init_std": std}


def _lora(nested: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": "lora",
        "tasks": None if nested["use_single_lora"] else list(nested["tasks"]),
        "rank": nested["lora_dim"],
        "alpha": nested["lora_alpha"],
        "dropout": nested["lora_dropout"],
        "biases": True,
        "visual": True,
    }


def _prompt(config: Mapping[str, Any], std: float | None) -> dict[str, Any] | None:
    sides = {side: config.get(f"{side}_prompt_config") for side in ("encoder", "decoder")}
    nested = next((side for side in sides.values() if side), None)
    if nested is None:
        return None
    lengths = {f"{side}_length": found["prompt_len"] if found else 0 for side, found in sides.items()}
    tasks = None if nested["use_single_prompt"] else list(nested["tasks"])
    return {"type": "prompt", "tasks": tasks, **lengths, "middle": nested["mid_dim"], "init_std": std, "visual": True}


def rename_stock_key(key: str, family: Family, adapter: Mapping[str, Any] | None = None) -> str | None:
    """Our name of a parameter that VL-Adapter's code adds to its model.

    There a single adapter stands under the name of every task; here it stands once, as `all`.

    Args:
        key: A name there.
        family: `t5`, or `bart`, whose names begin with `model.` there.
        adapter: What `adapter_of_stock` gave: whether tasks have adapters of their own, and which halves they share.

    Returns:
        The name here; none where it is no such parameter.

    >>> rename_stock_key("model.encoder.layers.0.ff_adapter.adapters.vqa.up_sampler.bias", "bart", {"tasks": ["vqa"]})
    'encoder.layers.0.fc2.adapter.up.vqa.bias'
    >>> rename_stock_key("encoder.block.1.layer.0.attn_adapter.adapters.vqa.down_sampler.weight", "t5", {"tasks": None})
    'encoder.layers.1.self_attn.out_proj.adapter.down.all.weight'
    """
    name = key.removeprefix("model.") if family == "bart" else key
    spec = adapter or {}

    def owner(task: str, half: str = "") -> str:
        return ALL if spec.get("tasks") is None or spec.get(f"share_{half}") else task

    if name == "phm_rule":
        return "adapter_set.rule"
    if match := _VECTOR.fullmatch(name):
        return f"adapter_set.task_vectors.{match[1]}"
    if match := _PROMPT.fullmatch(name):
        return f"{match[1] or 'decoder'}.prompt.prompts.{owner(match[2])}.{match[3]}"
    if match := _NET.fullmatch(name):
        return _net_key(match[1], match[2])
    layer = _LAYER.fullmatch(name)
    if layer is None:
        return None
    beginning, rest = f"{layer[1]}.layers.{layer[2]}", layer[3]
    if match := _LORA.fullmatch(rest):
        return f"{beginning}.{match[1]}.{match[2]}.adapter.{match[3].lower()}.{owner(match[4])}.weight"
    if match := _ADAPTER_NORM.fullmatch(rest):
        return f"{beginning}.{_OWNERS[match[1]]}.adapter.{_NORMS[match[2]]}.{match[3]}"
    if match := _ADAPTER.fullmatch(rest):
        if match[4] == "phm_rule" and spec.get("shared_rule"):
            return "adapter_set.rule"
        leaf = _LEAVES.get(match[4], match[4])
        return f"{beginning}.{_OWNERS[match[1]]}.adapter.{match[3]}.{owner(match[2], match[3])}.{leaf}"
    return None


def _net_key(stack: str, rest: str) -> str | None:
    """Our name of a part of a stack's net."""
    for theirs, ours in _NET_PARTS.items():
        if rest.startswith(f"{theirs}."):
            return f"adapter_set.nets.{stack}.{ours}.{rest.removeprefix(f'{theirs}.')}"
    match = _MAKER.fullmatch(rest)
    if match is None:
        return None
    place, half, norm, what, leaf = match.groups()
    part = half or {"pre": "norm_before", "post": "norm_after"}[norm]
    return f"adapter_set.nets.{stack}.makers.{place or ALL}.{part}.{what}.{leaf}"
