"""A small encoder of every kind, for tests that hold for all of them."""

from __future__ import annotations

from pathlib import Path

import torch
from ofakit.config.component import Component
from ofakit.data.passage import Passage
from ofakit.models.encoders import ENCODERS
from ofakit.models.encoders.base import make_encoder, settings_of
from ofakit.models.reading import train_byte_pairs
from ofakit.preprocessors.sides import SideInputs

TEXTS = ["a red flag with a star", "the capital of the country", "a blue flag", "what is the capital ?", ""]
BERT = {
    "model_type": "bert", "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
    "intermediate_size": 32, "max_position_embeddings": 32,
}  # fmt: skip
TOWER = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
CLIP = {
    "model_type": "clip", "projection_dim": 12,
    "text_config": {**TOWER, "vocab_size": 300, "max_position_embeddings": 16, "eos_token_id": 3},
    "vision_config": {**TOWER, "image_size": 32, "patch_size": 16},
}  # fmt: skip
SIGLIP = {**CLIP, "model_type": "siglip", "projection_dim": 99}
T5 = {"model_type": "t5", "d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 1, "num_heads": 2,
      "decoder_start_token_id": 0}  # fmt: skip
OFA = {
    "size": "tiny", "tokenizer": {"train_vocab_size": 400, "num_codes": 4, "num_bins": 0}, "image_size": 32,
    "config": {"d_model": 64, "encoder_layers": 2, "decoder_layers": 1, "encoder_ffn_dim": 32, "decoder_ffn_dim": 32,
               "resnet_type": "resnet18", "dropout": 0.0, "image_bucket_size": 4, "token_bucket_size": 16},
}  # fmt: skip
SMALL_BERT = {"type": "hugging_face", "config": BERT, "vocabulary_size": 300}
SMALL_TIMM = {"type": "timm", "name": "test_resnet", "image_size": 32}
KINDS = {
    "bag": {"type": "bag", "width": 8, "vocabulary_size": 300, "normalize": True},
    "bert": {**SMALL_BERT, "pooling": "concat", "layers": 2, "projection": 8},
    "t5": {"type": "hugging_face", "config": T5, "vocabulary_size": 300},
    "t5 decoder": {"type": "hugging_face", "config": T5, "vocabulary_size": 300, "pooling": "decoder_start"},
    "timm": SMALL_TIMM,
    "timm grid": {
        **SMALL_TIMM, "image_size": 64, "pooling": "grid", "grid": [1, 2], "projection": 8, "normalize": True,
    },
    "clip": {"type": "clip", "config": CLIP, "tokenizer": "WORDS", "normalize": True},
    "siglip": {"type": "clip", "config": SIGLIP, "tokenizer": "WORDS"},
    "ofa": {"type": "ofa", **OFA, "projection": 8, "normalize": True},
    "ofa decoder": {"type": "ofa", **OFA, "pooling": "decoder_start"},
    "ofa layers": {"type": "ofa", **OFA, "pooling": "sum", "layers": 2},
    "towers": {"type": "towers", "text": {"type": "bag", "width": 8, "vocabulary_size": 300}, "image": SMALL_TIMM},
    "towers sum": {
        "type": "towers", "both": "sum", "normalize": True,
        "text": {"type": "bag", "width": 8, "vocabulary_size": 300}, "image": {**SMALL_TIMM, "projection": 8},
    },
}  # fmt: skip


def component(name: str, folder: Path) -> Component:
    """The configuration of a kind; tokenizers it needs are written into a folder."""
    spec = KINDS[name]
    if spec.get("tokenizer") == "WORDS":
        train_byte_pairs(TEXTS, 300, 16).save(folder / "words")
        spec = {**spec, "tokenizer": str(folder / "words")}
    return Component(**spec)


def made(name: str, folder: Path):
    """An encoder of a kind in evaluation mode, and how its items are read."""
    torch.manual_seed(0)
    spec = component(name, folder)
    reading = ENCODERS.get(spec.type).make_reading(settings_of(spec), TEXTS)
    return make_encoder(spec, reading).eval(), SideInputs(reading)


def items() -> list[Passage]:
    """Texts and images of several lengths and sizes; the last two lack one or the other."""
    generator = torch.Generator().manual_seed(1)
    images = [torch.randint(0, 256, (40, 40, 3), generator=generator).byte().numpy() for _ in TEXTS]
    passages = [Passage(str(i), text, image=image) for i, (text, image) in enumerate(zip(TEXTS, images, strict=True))]
    return [*passages[:4], Passage("no text", None, image=images[4]), Passage("no image", TEXTS[0])]
