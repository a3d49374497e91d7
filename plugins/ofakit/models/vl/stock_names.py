"""Names of tensors: ours, which are those of BART for both families, and those of T5, VL-T5 and VL-BART.

Source: transformers 4.2.1 (`T5ForConditionalGeneration`, `BartForConditionalGeneration`), j-min/VL-T5 a07d779.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from ofakit.models.adapters.stock import rename_stock_key
from ofakit.models.vl.configuration import VLConfig

__all__ = ["own_names", "stock_name", "tied_names"]

_LAYER = re.compile(r"(encoder|decoder)\.layers\.(\d+)\.(.+)")
_T5_ATTENTION = {"q_proj": "q", "k_proj": "k", "v_proj": "v", "out_proj": "o"}


def stock_name(name: str, config: VLConfig) -> str:
    """What the original code calls a tensor; adapters and a backbone keep our name.

    Args:
        name: Ours.
        config: The model's.

    >>> stock_name("encoder.layers.1.fc2.weight", VLConfig(model_type="t5"))
    'encoder.block.1.layer.1.DenseReluDense.wo.weight'
    >>> stock_name("encoder.layers.1.fc2.weight", VLConfig())
    'model.encoder.layers.1.fc2.weight'
    """
    if ".adapter." in name or ".prompt." in name or name.startswith(("adapter_set", "backbone.")):
        return name
    if not config.is_t5:
        return name if name == "final_logits_bias" else f"model.{name}"
    if name.endswith("relative_attention_bias.weight"):
        return f"{name.split('.')[0]}.block.0.layer.0.SelfAttention.relative_attention_bias.weight"
    layer = _LAYER.fullmatch(name)
    return name if layer is None else _t5_layer(layer[1], layer[2], layer[3], config.gated_feed_forward)


def _t5_layer(stack: str, index: str, rest: str, gated: bool) -> str:
    """T5's name of a tensor of a layer."""
    part, _, leaf = rest.partition(".")
    last = 1 if stack == "encoder" else 2
    fc1 = "wi_0" if gated else "wi"
    places = {
        "self_attn": (0, "SelfAttention."), "encoder_attn": (1, "EncDecAttention."),
        "self_attn_layer_norm": (0, "layer_norm."), "encoder_attn_layer_norm": (1, "layer_norm."),
        "final_layer_norm": (last, "layer_norm."), "fc1": (last, f"DenseReluDense.{fc1}."),
        "gate": (last, "DenseReluDense.wi_1."), "fc2": (last, "DenseReluDense.wo."),
    }  # fmt: skip
    place, between = places[part]
    if part.endswith("_attn"):
        projection, _, leaf = leaf.partition(".")
        leaf = f"{_T5_ATTENTION[projection]}.{leaf}"
    return f"{stack}.block.{index}.layer.{place}.{between}{leaf}"


def tied_names(config: VLConfig) -> list[str]:
    """What the original code calls the token table, the first name being that of the table itself.

    Args:
        config: The model's.
    """
    begin = "" if config.is_t5 else "model."
    names = ["shared", "encoder.embed_tokens", "decoder.embed_tokens", "encoder.visual_embedding.obj_order_embedding"]
    head = ["lm_head.weight"] if config.tie_word_embeddings else []
    return [f"{begin}{name}.weight" for name in names] + head


def own_names(keys: Iterable[str], known: Iterable[str], config: VLConfig) -> dict[str, str]:
    """Our names of the tensors of a checkpoint.

    Args:
        keys: Of a checkpoint: VL-T5's or VL-BART's (`Epoch30.pth`, with the names of data-parallel training), Hugging
            Face's T5 or BART, VL_adapter's, or ours.
        known: Our names of the model's tensors.
        config: The model's.

    Returns:
        Checkpoint's name to ours; those that are none of the model's are left out.
    """
    known = set(known)
    table = {stock_name(name, config): name for name in known} | dict.fromkeys(tied_names(config), "shared.weight")
    found = {}
    for key in keys:
        plain = key.removeprefix("module.").replace("vis_encoder.", "encoder.")
        candidates = [table.get(plain), table.get(f"model.{plain}"), plain]
        candidates.append(rename_stock_key(plain, config.model_type, config.adapter))
        name = next((name for name in candidates if name in known), None)
        if name is not None:
            found[key] = name
    return found
