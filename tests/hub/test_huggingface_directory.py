"""What is written for Hugging Face keeps what the task keeps, and transformers reads it without ofakit."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from ofakit.config.schema import GenerationSection, PreprocessorSection
from ofakit.data import load_square
from ofakit.errors import UsageError
from ofakit.hub import export_huggingface, load_bundle
from ofakit.hub.huggingface_directory import generation_config, image_processor_config
from ofakit.preprocessors.batches import move_batch
from PIL import Image
from transformers import AutoImageProcessor, AutoTokenizer, GenerationConfig

from tests.objectives.conftest import make_bundle


@pytest.fixture(scope="module")
def bundle():
    made = make_bundle()
    made.preprocessor.prompt = " say it like a {}."
    made.generation.num_beams, made.generation.max_length = 3, 7
    return made


@pytest.fixture(scope="module")
def folder(bundle, tmp_path_factory):
    return export_huggingface(bundle, tmp_path_factory.mktemp("models") / "hf")


def test_styles_prompt_and_generation_come_back(bundle, folder):
    found = load_bundle(folder)
    assert found.configuration() == bundle.configuration()
    assert found.styles is not None and found.styles.names == bundle.styles.names
    own = bundle.model.state_dict()
    assert all(torch.equal(value, own[name]) for name, value in found.model.state_dict().items())


def test_transformers_reads_the_tokenizer_without_ofakit(bundle, folder):
    tokenizer = AutoTokenizer.from_pretrained(folder)
    text = " a red circle <code_3> dog"
    assert tokenizer(text).input_ids == [0, *bundle.tokenizer.encode(text), 2]
    assert len(tokenizer) == len(bundle.tokenizer)
    assert (tokenizer.pad_token_id, tokenizer.mask_token) == (bundle.tokenizer.pad_token_id, "<mask>")


@pytest.mark.parametrize("section", [
    {"patch_image_size": 32}, {"patch_image_size": 32, "max_image_size": 48, "mean_std": "imagenet"},
])  # fmt: skip
def test_the_image_processor_sees_what_the_model_saw(section, tmp_path):
    section = PreprocessorSection(**section)
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(image_processor_config(section)))
    processor = AutoImageProcessor.from_pretrained(tmp_path, use_fast=False)
    smooth = np.linspace(0, 255, 60 * 40 * 3).reshape(60, 40, 3).astype(np.uint8)
    image = Image.fromarray(smooth)
    seen = processor(image, return_tensors="pt")["pixel_values"]
    square = torch.from_numpy(load_square(image, section.stored_size).copy()).permute(2, 0, 1)
    edge = (section.stored_size - section.patch_image_size) // 2
    middle = square[:, edge : edge + section.patch_image_size, edge : edge + section.patch_image_size]
    expected = move_batch({"patch_images": middle[None]}, "cpu", section.mean_std)["patch_images"]
    assert (seen - expected).abs().max() < 0.02


def test_generation_settings_mean_the_same_there(bundle, folder):
    found = GenerationConfig.from_pretrained(folder)
    assert (found.num_beams, found.max_new_tokens, found.eos_token_id) == (3, 8, bundle.tokenizer.eos_token_id)
    sampled = generation_config(GenerationSection(do_sample=True, top_k=5), bundle.tokenizer)
    assert sampled["top_k"] == 5 and "top_k" not in generation_config(GenerationSection(), bundle.tokenizer)


def test_what_is_no_ofa_is_refused_and_nothing_is_written(bundle, tmp_path):
    other = replace(bundle, model=torch.nn.Linear(1, 1), model_type="other")
    with pytest.raises(UsageError, match="that format exists for OFA only, found a model of type 'other'"):
        export_huggingface(other, tmp_path / "hf")
    assert not (tmp_path / "hf").exists()
