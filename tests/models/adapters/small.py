"""Small networks of every family, for tests of adapters."""

from __future__ import annotations

import torch
from ofakit.models.adapters import add_adapters
from torch import Tensor, nn
from transformers import (
    BartConfig,
    BartModel,
    BertConfig,
    BertModel,
    DistilBertConfig,
    DistilBertModel,
    T5Config,
    T5EncoderModel,
)

from tests.models.ofa.small import build, inputs

WIDTH = 32
IDS = torch.arange(5, 26).view(3, 7)
BART = {
    "d_model": WIDTH, "encoder_layers": 2, "decoder_layers": 2, "encoder_ffn_dim": 64, "decoder_ffn_dim": 64,
    "encoder_attention_heads": 4, "decoder_attention_heads": 4, "vocab_size": 40,
}  # fmt: skip
KINDS = {
    "bottleneck": {"type": "bottleneck", "norm_before": True, "norm_after": True},
    "half-shared": {"type": "bottleneck", "share_up": True},
    "compacter": {"type": "compacter"},
    "compacter with a shared rule": {"type": "compacter", "shared_rule": True, "rank": 1, "division": 4},
    "low_rank": {"type": "low_rank"},
    "hyperformer": {"type": "hyperformer"},
    "hyperformer of one net": {"type": "hyperformer", "one_net": True, "norm_before": True, "norm_after": True},
    "lora": {"type": "lora", "dropout": 0.0},
    "ia3": {"type": "ia3"},
}
"""A configuration of every kind that changes layers."""


def bert() -> nn.Module:
    sizes = {"hidden_size": WIDTH, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
    return BertModel(BertConfig(**sizes, vocab_size=40)).eval()


def distilbert() -> nn.Module:
    return DistilBertModel(DistilBertConfig(dim=WIDTH, n_layers=2, n_heads=4, hidden_dim=64, vocab_size=40)).eval()


def t5() -> nn.Module:
    return T5EncoderModel(T5Config(d_model=WIDTH, d_kv=8, d_ff=64, num_layers=2, num_heads=4, vocab_size=40)).eval()


def bart() -> nn.Module:
    return BartModel(BartConfig(**BART)).eval()


def ofa() -> nn.Module:
    return build().eval()


FAMILIES = {"bert": bert, "distilbert": distilbert, "t5": t5, "bart": bart, "ofa": ofa}


def states(model: nn.Module) -> Tensor:
    """What a network of any family makes of the same input."""
    if hasattr(model, "decode"):
        return model(**inputs()).logits
    return model(input_ids=IDS).last_hidden_state


def made(family: str, kind: str, tasks: list[str] | None = None, seed: int = 0) -> nn.Module:
    """A network with adapters that do something."""
    torch.manual_seed(seed)
    model = add_adapters(FAMILIES[family](), KINDS[kind], tasks).eval()
    stir(model)
    return model


def stir(model: nn.Module) -> None:
    """Change all that learns, so that it is seen."""
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.1 * torch.randn_like(parameter))
