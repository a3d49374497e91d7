"""The configuration of a VL-T5 or VL-BART of which only the weights are known, such as those of `Epoch30.pth`.

    keys = keys_of_weights(weights)         # those that names and shapes tell
    config = config_of_weights(weights)     # a whole configuration, whose other keys are the published ones

What weights do not tell are rates of dropout, BART's number of heads, whether a grid is pooled, and the like.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from ofakit.errors import UsageError
from ofakit.models.vl.configuration import VLConfig
from ofakit.models.vl.stack import OFFSET

__all__ = ["are_vl_names", "config_of_weights", "keys_of_weights"]

_VISUAL = "encoder.visual_embedding."
_HEAD_WIDTH = 64
"""That of every published size."""
_T5_SIGN, _BART_SIGN = "relative_attention_bias.weight", ".embed_positions.weight"
_TABLES = ("shared.weight", "encoder.embed_tokens.weight", "decoder.embed_tokens.weight", "lm_head.weight")
_LAYER = re.compile(r"(encoder|decoder)\.(?:layers|block)\.(\d+)\.")
_FFN = re.compile(r"(encoder|decoder)\.(?:layers\.0\.fc1|block\.0\.layer\.\d\.DenseReluDense\.wi(?:_0)?)\.weight")
_QUERY = re.compile(r"encoder\.(?:layers\.0\.self_attn\.q_proj|block\.0\.layer\.0\.SelfAttention\.q)\.weight")
_GATE = re.compile(r"encoder\.(?:layers\.0\.gate|block\.0\.layer\.1\.DenseReluDense\.wi_1)\.weight")
_FEATURES = re.compile(re.escape(_VISUAL) + r"feat_embedding\.\d+\.weight")


def are_vl_names(names: Iterable[str]) -> bool:
    """Whether names are those of a VL-T5, a VL-BART, or of the T5 or BART that either starts from.

    Args:
        names: Of all tensors of a checkpoint: the original code's, Hugging Face's or ours.
    """
    plain = {_plain(name) for name in names}
    stack = any(_LAYER.match(name) for name in plain) and not plain.isdisjoint(_TABLES)
    return stack and any(
        name.startswith(("encoder.", "decoder.")) and name.endswith((_T5_SIGN, _BART_SIGN)) for name in plain
    ) and not any("rel_pos_table" in name for name in plain)  # fmt: skip


def keys_of_weights(weights: Mapping[str, Tensor]) -> dict[str, Any]:
    """The keys of a configuration that weights tell.

    Args:
        weights: Under names that `are_vl_names` knows.

    Raises:
        UsageError: Weights without which the sizes are unknown are missing.
    """
    plain = {_plain(name): value for name, value in weights.items()}
    is_t5 = any(name.endswith(_T5_SIGN) for name in plain)
    table = next((plain[name] for name in _TABLES if name in plain), None)
    widths = {match[1]: len(plain[name]) for name in plain if (match := _FFN.fullmatch(name))}
    if table is None or widths.keys() != {"encoder", "decoder"}:
        raise UsageError("not the weights of a VL-T5 or VL-BART: the token table or a feed-forward layer is missing")
    keys: dict[str, Any] = {"model_type": "t5" if is_t5 else "bart"}
    keys["vocab_size"], keys["d_model"] = table.shape
    for side in ("encoder", "decoder"):
        keys[f"{side}_layers"] = 1 + max(int(m[2]) for name in plain if (m := _LAYER.match(name)) and m[1] == side)
        keys[f"{side}_ffn_dim"] = widths[side]
    return {**keys, **(_of_t5(plain, table) if is_t5 else _of_bart(plain)), **_of_visual_embedding(plain)}


def config_of_weights(weights: Mapping[str, Tensor], known: Mapping[str, Any] | None = None) -> VLConfig:
    """A whole configuration of weights.

    Args:
        weights: As in `keys_of_weights`.
        known: Keys that are known from elsewhere; those that weights tell win over them. What neither tells is as in
            the published models, whose heads are 64 wide.

    Raises:
        UsageError: As `keys_of_weights`; or the keys do not fit together.
    """
    told = keys_of_weights(weights)
    usual = {}
    if told["model_type"] == "bart":
        heads = max(1, told["d_model"] // _HEAD_WIDTH)
        heads = heads if told["d_model"] % heads == 0 else 1
        usual = {f"{side}_attention_heads": heads for side in ("encoder", "decoder")}
    return VLConfig(**{**usual, **(known or {}), **told})


def _plain(name: str) -> str:
    """A name without what data-parallel training, BART and Hugging Face put before it."""
    name = name.removeprefix("module.").removeprefix("model.")
    return name.replace("vis_encoder.", "encoder.", 1) if name.startswith("vis_encoder.") else name


def _of_t5(plain: Mapping[str, Tensor], table: Tensor) -> dict[str, Any]:
    """What only a T5's weights tell."""
    distances = next(value for name, value in plain.items() if name.endswith(_T5_SIGN))
    buckets, heads = distances.shape
    inner = next((len(value) for name, value in plain.items() if _QUERY.fullmatch(name)), heads * _HEAD_WIDTH)
    keys: dict[str, Any] = {"relative_attention_num_buckets": buckets, "d_kv": inner // heads}
    keys |= {f"{side}_attention_heads": heads for side in ("encoder", "decoder")}
    keys["gated_feed_forward"] = any(_GATE.fullmatch(name) for name in plain)
    head = plain.get("lm_head.weight", table)
    keys["tie_word_embeddings"] = head is table or (head.shape == table.shape and torch.equal(head, table))
    return keys


def _of_bart(plain: Mapping[str, Tensor]) -> dict[str, Any]:
    """What only a BART's weights tell."""
    return {"max_position_embeddings": next(len(v) for n, v in plain.items() if n.endswith(_BART_SIGN)) - OFFSET}


def _of_visual_embedding(plain: Mapping[str, Tensor]) -> dict[str, Any]:
    """What the projection of regions tells; nothing where there is none."""
    first = plain.get(f"{_VISUAL}feat_embedding.0.weight")
    if first is None:
        return {}
    own, joint = (f"{_VISUAL}{name}.weight" in plain for name in ("feat_embedding.1", "layer_norm"))
    linear = sum(value.dim() == 2 for name, value in plain.items() if _FEATURES.fullmatch(name))
    order = plain.get(f"{_VISUAL}img_order_embedding.weight")
    keys: dict[str, Any] = {"feat_dim": first.shape[1], "additional_visual_embedding_layers": linear - 1}
    keys |= {"use_vis_layer_norm": own or joint, "use_vis_order_embedding": order is not None}
    if own or joint:
        keys["individual_vis_layer_norm"] = own
    return keys if order is None else {**keys, "n_images": len(order)}
