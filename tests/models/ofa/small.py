"""A small OFA and a batch for it."""

from __future__ import annotations

import torch
from ofakit.models.ofa import OFAConfig, OFAModel
from torch import Tensor

SMALL = {
    "d_model": 32,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_ffn_dim": 64,
    "decoder_ffn_dim": 64,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "vocab_size": 60,
    "resnet_type": "resnet18",
    "dropout": 0.0,
}
UNEVEN = {
    **SMALL, "decoder_layers": 3, "decoder_ffn_dim": 96, "decoder_attention_heads": 2, "dropout": 0.25,
    "image_bucket_size": 8, "token_bucket_size": 16,
}  # fmt: skip
"""Encoder and decoder differ, and no size has its default."""


def build(seed: int = 0, **keys) -> OFAModel:
    torch.manual_seed(seed)
    return OFAModel(OFAConfig(**{**SMALL, **keys}))


def inputs(size: int = 2, pixels: int = 48) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(4, 60, (size, 5), generator=generator)
    previous = torch.randint(4, 60, (size, 4), generator=generator)
    images = torch.randn(size, 3, pixels, pixels, generator=generator)
    masks = torch.ones(size, dtype=torch.bool)
    return {"input_ids": ids, "patch_images": images, "patch_masks": masks, "decoder_input_ids": previous}
