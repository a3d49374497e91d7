"""A tiny VL-BART or VL-T5 from random weights, and something for it to read."""

from __future__ import annotations

import torch
from ofakit.models.vl import VLConfig, VLModel


def tiny(family="bart", **keys):
    torch.manual_seed(0)
    return VLModel(VLConfig.from_size(f"{family}-tiny", d_model=64, feat_dim=8, vocab_size=300, dropout=0.0,
                                      attention_dropout=0.0, activation_dropout=0.0, **keys)).eval()  # fmt: skip


def inputs(count=3):
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(10, 90, (count, 6), generator=generator)
    feats, boxes = torch.rand(count, 5, 8, generator=generator), torch.rand(count, 5, 4, generator=generator)
    return {"input_ids": ids, "vis_feats": feats, "boxes": boxes}
