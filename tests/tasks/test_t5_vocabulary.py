"""A directory of T5, network and vocabulary, becomes a small VL-T5 that captions in styles, and is read back."""

from __future__ import annotations

import json

import pytest
from ofakit.cli import finetune
from ofakit.data.scene_captions import STYLES, Scene
from ofakit.hub import load_bundle
from ofakit.json_text import to_json
from ofakit.text.sentencepiece_tokenizer import SentencePieceTokenizer

from tests.text.small_t5 import write_t5_vocabulary


@pytest.fixture
def t5(tmp_path):
    """As Hugging Face writes one, with spare rows behind the vocabulary."""
    transformers = pytest.importorskip("transformers")
    scene = Scene("red", "star", "three", "small", "top left")
    folder = write_t5_vocabulary(tmp_path / "t5", [text for style in STYLES for text in scene.captions(style)] * 4)
    rows = len(SentencePieceTokenizer.from_pretrained(folder)) + 12
    sizes = {"d_model": 32, "d_kv": 8, "d_ff": 40, "num_layers": 1, "num_heads": 2}
    network = transformers.T5ForConditionalGeneration(transformers.T5Config(vocab_size=rows, **sizes))
    network.save_pretrained(folder)
    return folder


@pytest.fixture
def conf(t5, tmp_path):
    network = {"name": "resnet10t", "options": {"channels": [4, 4, 4, 6]}}
    config = {
        "work_dir": str(tmp_path / "run"),
        "data": {
            "root": str(tmp_path / "scenes"),
            "reader": {"type": "scenes", "images": 12, "val": 2, "test": 3, "size": 32, "styles": ["plain", "pirate"]},
            "regions": {"network": network, "image_size": 32},
        },
        "model": {"path": str(t5), "config": {"dropout": 0.0}},
        "style": {"mode": "new"},
        "preprocessor": {"prompt": "caption in style {}:", "patch_image_size": 32, "max_tgt_length": 40},
        "objectives": [{"type": name} for name in ("cross_entropy", "span_corruption", "mlm", "grounded_captioning")],
        "train": {"max_steps": 3, "dataloader": {"batch_size_per_gpu": 8}},
        "generation": {"num_beams": 2, "max_length": 8, "min_length": 3},
    }
    (tmp_path / "conf.json").write_text(to_json(config), encoding="utf-8")
    return tmp_path / "conf.json"


def test_a_t5_learns_to_caption_and_is_read_back(conf, t5, tmp_path, capsys):
    assert finetune.main(["--conf", str(conf)]) == 0
    scores = json.loads(capsys.readouterr().out.splitlines()[-1])
    run = tmp_path / "run"
    rows = [json.loads(line) for line in (run / "eval" / "test.predictions.jsonl").read_text().splitlines()]
    assert len(rows) == 6 and scores["steps"] == 3
    bundle = load_bundle(run / "best")
    tokenizer, config = bundle.tokenizer, bundle.model.config
    stock = SentencePieceTokenizer.from_pretrained(t5)
    assert isinstance(tokenizer, SentencePieceTokenizer) and config.feat_dim == 6 and config.is_t5
    assert tokenizer.encode("a small star") == stock.encode("a small star")
    assert config.region_rows == tokenizer.token_to_id("<vis_extra_id_0>") + 1 == len(stock) + 100
    assert tokenizer.token_to_id("<style:pirate>") >= config.region_rows
    assert len(bundle.model.output_embedding) == len(tokenizer)
    assert finetune.main(["eval", "--conf", str(run / "conf.json"), "--checkpoint", str(run / "best")]) == 0
    again = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert again["cider"] == scores["cider"]
