"""A small CLIP with random weights, as a directory of transformers with all its files."""

from __future__ import annotations

from pathlib import Path

import torch
from ofakit.models.reading import train_byte_pairs

WORDS = ["a photo depicts a red flag with a star", "the capital of the country", "a blue circle on white ground"]
TOWER = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}


def small_clip(folder: Path, kind: str = "clip", seed: int = 3) -> Path:
    """Write it.

    Args:
        folder: Where to.
        kind: `clip` or `siglip`.
        seed: Of the weights.
    """
    from transformers import AutoConfig, AutoModel, CLIPImageProcessor, SiglipImageProcessor

    text = {**TOWER, "vocab_size": 300, "max_position_embeddings": 48, "projection_size": 32, "eos_token_id": 3}
    sizes = {"text_config": text, "vision_config": {**TOWER, "image_size": 32, "patch_size": 16}}
    torch.manual_seed(seed)
    model = AutoModel.from_config(
        AutoConfig.for_model(kind, **sizes, **({"projection_dim": 16} if kind == "clip" else {}))
    )
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    model.save_pretrained(folder)
    train_byte_pairs(WORDS, 300, 48).save(folder)
    if kind == "clip":
        CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}).save_pretrained(folder)
    else:
        SiglipImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder)
    return folder
