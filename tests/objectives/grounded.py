"""Drawn pairs of shapes as regions, a small VL-T5, and what the grounding objectives need beside them."""

from __future__ import annotations

import numpy as np
import torch
from ofakit.config.schema import PreprocessorSection
from ofakit.data.drawing import draw_scene, shapes_in
from ofakit.data.example import Example
from ofakit.data.regions import Regions
from ofakit.data.scene_captions import split_scenes
from ofakit.hub import CaptionBundle
from ofakit.models.types._vl_vocabulary import with_sentinels
from ofakit.models.vl import VLConfig, VLModel
from ofakit.preprocessors.collate import Collate
from ofakit.preprocessors.regions import RegionInputs
from ofakit.text import train_tokenizer

SIDE = 3
SMALL = {
    "model_type": "t5", "d_model": 48, "d_kv": 16, "encoder_layers": 2, "decoder_layers": 1, "feat_dim": 12,
    "encoder_attention_heads": 2, "decoder_attention_heads": 2, "encoder_ffn_dim": 64, "decoder_ffn_dim": 64,
    "dropout": 0.0, "attention_dropout": 0.0, "activation_dropout": 0.0, "pad_token_id": 1, "eos_token_id": 2,
    "decoder_start_token_id": 0, "bos_token_id": 0,
}  # fmt: skip


class Drawn:
    """The cells of drawings, as a `RegionSource`: their colours in quarters."""

    width = 12

    def __init__(self, images: dict[str, np.ndarray]) -> None:
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def __contains__(self, key: object) -> bool:
        return key in self.images

    def regions(self, key: str) -> Regions:
        pixels = self.images[key].astype(np.float32) / 128 - 1
        half = len(pixels) // (2 * SIDE)
        cells = pixels.reshape(2 * SIDE, half, 2 * SIDE, half, 3).mean((1, 3))
        cells = cells.reshape(SIDE, 2, SIDE, 2, 3).transpose(0, 2, 1, 3, 4).reshape(SIDE * SIDE, 12)
        return Regions(cells)


def drawn_pairs(count: int) -> tuple[list[Example], RegionInputs]:
    """Examples with texts of their two shapes, and what reads their regions."""
    examples, images = [], {}
    for number, scene in enumerate(split_scenes({"train": count}, pairs=1.0)["train"]):
        name = f"{number}.png"
        images[name] = np.asarray(draw_scene(scene, 36, np.random.default_rng([7, number])))
        shapes = tuple(shapes_in(scene, np.random.default_rng([7, number])))
        examples.append(Example(name, name, references=tuple(scene.captions("plain")), region_texts=shapes))
    return examples, RegionInputs(Drawn(images))


def small_bundle(examples, inputs) -> CaptionBundle:
    """A random VL-T5 whose vocabulary knows the shapes and has names of regions."""
    texts = [f" {said.text}" for example in examples for said in example.region_texts]
    prompts = [" caption region: visual grounding:"] * 4
    tokenizer = with_sentinels(train_tokenizer([*texts, *prompts], 340, num_codes=1, num_bins=0))
    torch.manual_seed(0)
    model = VLModel(VLConfig(vocab_size=len(tokenizer), **SMALL))
    return CaptionBundle(model, tokenizer, None, PreprocessorSection(), model_type="vl", regions=inputs)


def batch_of(objective, examples, inputs, seed: int):
    """What a batch of the objective's view is."""
    samples = []
    for number, example in enumerate(examples):
        view = objective.view(example, np.random.default_rng([seed, number]))
        own = {f"{objective.name}/{name}": value for name, value in view.items()}
        samples.append({"input_ids": torch.tensor([0, 2]), **inputs.sample([example.image]), **own})
    return Collate(1)(samples)
