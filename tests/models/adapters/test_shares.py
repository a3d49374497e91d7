"""The published shares of what learns, at base size: VL-Adapter, Sung et al. 2022, tables 1 and 2, by its own code."""

from __future__ import annotations

import functools

import pytest
import torch
from ofakit.models.adapters import add_adapters, trainable_share
from ofakit.models.vl import VLConfig, VLModel

TASKS = ["vqa", "gqa", "nlvr", "caption"]
BOTTLENECK = {"type": "bottleneck", "reduction": 8}
COMPACTER = {"type": "compacter", "reduction": 8, "division": 2}
HYPERFORMER = {"type": "hyperformer", "reduction": 8, "projected": 8}
LORA = {"type": "lora", "rank": 128, "biases": True}
PROMPT = {"type": "prompt", "encoder_length": 40, "middle": 800}
SHARES = [
    ("bart", BOTTLENECK, None, 6081600, 4.18), ("bart", BOTTLENECK, TASKS, 19430400, 12.22),
    ("bart", COMPACTER, None, 3870240, 2.70), ("bart", COMPACTER, TASKS, 10584960, 7.05),
    ("bart", HYPERFORMER, TASKS, 8579088, 5.79), ("bart", LORA, None, 8786688, 5.93),
    ("bart", LORA, TASKS, 30020352, 17.71), ("bart", PROMPT, None, 2843936, 2.00),
    ("bart", PROMPT, TASKS, 6627200, 4.53), ("t5", BOTTLENECK, None, 10480512, 4.49),
    ("t5", BOTTLENECK, TASKS, 37178112, 14.29), ("t5", COMPACTER, None, 6057792, 2.65),
    ("t5", COMPACTER, TASKS, 19487232, 8.04), ("t5", HYPERFORMER, TASKS, 8534544, 3.69),
    ("t5", PROMPT, None, 2842400, 1.26), ("t5", PROMPT, TASKS, 6625664, 2.89),
]  # fmt: skip


@functools.cache
def config(family: str) -> VLConfig:
    return VLConfig.from_size(f"{family}-base", feat_dim=2048)


@pytest.mark.parametrize(("family", "spec", "tasks", "count", "percent"), SHARES)
def test_shares_are_the_published_ones(family, spec, tasks, count, percent):
    with torch.device("meta"):
        model = VLModel(config(family))
    # The original's T5 norms are of another class than the one it looks for, so none of them learns.
    keys = {"layer_norms": False} if family == "t5" else {}
    add_adapters(model, {**spec, **keys}, tasks)
    assert sum(p.numel() for p in model.parameters() if p.requires_grad) == count
    assert round(100 * trainable_share(model), 2) == percent
