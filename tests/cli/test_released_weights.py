"""Start from released weights, as docs/released-weights.md says: files of the released layouts, made here."""

from __future__ import annotations

import json
from argparse import Namespace
from pathlib import Path

import numpy as np
import ofakit.huggingface  # noqa: F401 (registers with transformers)
import ofakit.modelscope  # noqa: F401 (registers with ModelScope)
import pytest
import torch
from modelscope.pipelines import pipeline
from ofakit.cli import checkpoint, finetune
from ofakit.config import load_config
from ofakit.data.reading import build_reader
from ofakit.hub import load_bundle
from ofakit.models.ofa import OFAConfig, OFAModel
from ofakit.models.ofa.checkpoints import save_modelscope
from ofakit.models.ofa.configuration import SIZES
from ofakit.models.ofa.fairseq import config_from_weights, fairseq_checkpoint, from_fairseq_names
from ofakit.text import train_tokenizer
from ofakit.text.stock_answers import stock_answer
from PIL import Image
from transformers import AutoImageProcessor, AutoModel, AutoTokenizer

ROOT = Path(__file__).resolve().parents[2]
PERSONALITY = ROOT / "configs" / "caption" / "personality_captions.json"
PUBLISHED = {"tiny": 33, "medium": 93, "base": 180, "large": 470, "huge": 930}
"""Millions of parameters, as OFA's README has them."""


@pytest.mark.parametrize("size", SIZES)
def test_a_file_of_every_size_is_recognised_by_its_shapes(size):
    with torch.device("meta"):
        model = OFAModel(OFAConfig.from_size(size))
    millions = sum(parameter.numel() for parameter in model.parameters()) / 1e6
    assert abs(millions / PUBLISHED[size] - 1) < 0.03
    file = fairseq_checkpoint({name: value for name, value in model.stock_state_dict().items()}, model.config)
    weights = from_fairseq_names(file["model"])
    projection = weights.pop("decoder.output_projection.weight")
    assert projection.shape == (59457, SIZES[size][0])
    found = config_from_weights(weights)
    assert {**found.to_dict(), "init_std": 0} == {**model.config.to_dict(), "init_std": 0}
    assert model.missing_and_unexpected(weights) == ([], [])


@pytest.fixture(scope="module", params=["tiny", "base"])
def released_file(request, shared, tmp_path_factory):
    """A file as OFA's authors give out a caption model, with random weights."""
    torch.manual_seed(0)
    model = OFAModel(OFAConfig.from_size(request.param))
    file = fairseq_checkpoint(model.stock_state_dict(), model.config)
    settings = json.dumps({"beam": 3, "max_len_b": 8, "no_repeat_ngram_size": 3})
    file["cfg"]["task"] = Namespace(_name="caption", patch_image_size=96, eval_args=settings)
    path = tmp_path_factory.mktemp("released") / f"caption_{request.param}_best.pt"
    torch.save(file, path)
    return path


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    pixels = np.random.default_rng(0).integers(0, 255, (70, 90, 3), dtype=np.uint8)
    path = tmp_path_factory.mktemp("images") / "a.png"
    Image.fromarray(pixels).save(path)
    return path


def test_a_released_file_captions_alike_in_every_form(released_file, shared, image, tmp_path):
    vocabulary = str(shared / "data" / "ofa_bpe")
    for form in ("ofakit", "modelscope", "huggingface"):
        arguments = ["convert", str(released_file), str(tmp_path / form), "--to", form, "--tokenizer", vocabulary]
        assert checkpoint.main(arguments) == 0
    bundle = load_bundle(tmp_path / "huggingface")
    assert (bundle.preprocessor.patch_image_size, bundle.generation.num_beams) == (96, 3)
    captions = [
        pipeline("image-captioning", model=str(tmp_path / form), device="cpu")(str(image))["caption"][0]
        for form in ("ofakit", "huggingface")
    ]
    stock = pipeline("image-captioning", model=str(tmp_path / "modelscope"), device="cpu")
    assert stock.is_stock and captions[0] == captions[1]
    assert stock(str(image))["caption"][0] == stock_answer(captions[0], "en")

    folder = tmp_path / "huggingface"
    model, tokenizer = AutoModel.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    pixels = AutoImageProcessor.from_pretrained(folder, use_fast=False)(Image.open(image), return_tensors="pt")
    ids = model.generate(tokenizer(model.prompt(), return_tensors="pt").input_ids, **pixels)
    assert tokenizer.batch_decode(ids, skip_special_tokens=True)[0].strip() == captions[0]


@pytest.fixture(scope="module")
def parlai(tmp_path_factory):
    """Personality-Captions as ParlAI lays it out, in small."""
    folder = tmp_path_factory.mktemp("ParlAI") / "data"
    (folder / "yfcc_images").mkdir(parents=True)
    (folder / "personality_captions").mkdir()
    hashes = [f"{number:032x}" for number in range(4)]
    for number, name in enumerate(hashes):
        Image.new("RGB", (40, 30), (60 * number, 90, 200)).save(folder / "yfcc_images" / f"{name}.jpg")
    traits = ["Sweet", "Cold / Distant", "Na\u00efve"]
    rows = [
        {"personality": trait, "comment": f"what a {trait} day {number}", "image_hash": name}
        for number, name in enumerate(hashes)
        for trait in traits
    ]
    further = [{**row, "additional_comments": ["so nice", "oh well"]} for row in rows[-3:]]
    for split, some in (("train", rows[:6]), ("val", rows[6:9]), ("test", further)):
        (folder / "personality_captions" / f"{split}.json").write_text(json.dumps(some))
    return folder


def test_the_layout_of_parlai_is_what_the_configuration_reads(parlai):
    reader = build_reader(load_config(PERSONALITY, [f"data.root={parlai}"]))
    assert [len(reader.read(split)) for split in ("train", "val", "test")] == [6, 3, 3]
    example = reader.read("test")[1]
    assert Path(example.image).is_file() and example.style == "Cold / Distant" and len(example.references) == 3


@pytest.fixture(scope="module")
def released_directory(tmp_path_factory):
    """A directory of Hugging Face's released layout: four files, of a small network."""
    folder = tmp_path_factory.mktemp("released") / "ofa-small"
    texts = [" what does the image describe? reply in personality .", " what a sweet day"] * 3
    tokenizer = train_tokenizer(texts, 320, num_codes=8192, num_bins=1000)
    config = OFAConfig(
        vocab_size=len(tokenizer), d_model=32, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=32, decoder_ffn_dim=32, resnet_type="resnet18",
    )  # fmt: skip
    torch.manual_seed(0)
    save_modelscope(OFAModel(config), folder)
    tokenizer.save_pretrained(folder)
    (folder / "added_tokens.json").unlink()
    assert {path.name for path in folder.iterdir()} == {"config.json", "pytorch_model.bin", "vocab.json", "merges.txt"}
    return folder


def test_personality_captions_from_a_released_directory(parlai, released_directory, tmp_path, capsys):
    settings = {
        "data.root": parlai, "model.path": released_directory, "work_dir": tmp_path / "run", "train.max_steps": 2,
        "train.dataloader.batch_size_per_gpu": 3, "train.dataloader.workers_per_gpu": 0, "train.precision": "fp32",
        "evaluation.dataloader.workers_per_gpu": 0, "evaluation.precision": "fp32", "generation.max_length": 5,
        "preprocessor.patch_image_size": 32, "preprocessor.max_image_size": 40,
    }  # fmt: skip
    arguments = [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
    assert finetune.main(["--conf", str(PERSONALITY), *arguments]) == 0
    line = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert line["cider"] >= 0
    captioner = pipeline("image-captioning", model=str(tmp_path / "run" / "output"), device="cpu")
    row = captioner(str(next((parlai / "yfcc_images").iterdir())), style="na\u00efve")
    assert isinstance(row["caption"][0], str)
    assert captioner.captioner.styles == ["Cold / Distant", "Na\u00efve", "Sweet"]
