"""A Chinese model from scratch: word pieces, a Chinese prompt and Chinese style names, trained, saved and loaded."""

from __future__ import annotations

from pathlib import Path

import pytest
from ofakit.errors import UsageError
from ofakit.pipelines import Captioner
from ofakit.trainers import Trainer
from PIL import Image

CAPTIONS = {"浪漫": "红色的圆如同落日", "幽默": "红色的圆滚来滚去"}
PROMPT = "图片描述了什么？用{}的风格回答"


@pytest.fixture
def vocabulary(tmp_path):
    """A directory with the vocab.txt of a BERT tokenizer that knows single characters."""
    characters = sorted(set("".join([*CAPTIONS, *CAPTIONS.values(), PROMPT.replace("{}", "")])))
    folder = tmp_path / "vocabulary"
    folder.mkdir()
    lines = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *characters]
    (folder / "vocab.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(folder)


def chinese(experiment, vocabulary, **model):
    return experiment(
        data={"val": None, "test": None},
        model={
            "language": "zh",
            "tokenizer": {"path": vocabulary, "train_vocab_size": None},
            "config": {"dropout": 0.0},
            **model,
        },
        preprocessor={"prompt": PROMPT},
        objectives=[{"type": "cross_entropy", "label_smoothing": 0.0}],
        train={
            "max_epochs": 60,
            "gradient_accumulation": 1,
            "optimizer": {"lr": 1e-2},
            "lr_scheduler": {"name": "const"},
            "hooks": [{"type": "MetricsFileHook"}],
        },
        generation={"num_beams": 2, "max_length": 10, "no_repeat_ngram_size": 0},
    )


def test_chinese_model_learns_its_captions_and_keeps_its_vocabulary(experiment, vocabulary):
    image = Image.new("RGB", (32, 32), "red")
    rows = [{"image": image, "text": text, "style": style} for style, text in CAPTIONS.items()] * 4
    trainer = Trainer(experiment=chinese(experiment, vocabulary), train_dataset=rows, device="cpu")
    trainer.train()
    trainer.save_output()
    captioner = Captioner.from_pretrained(str(Path(trainer.work_dir) / "output"), device="cpu")
    assert captioner.bundle.tokenizer.language == "zh"
    for style, text in CAPTIONS.items():
        (found,) = captioner.caption([image], [style])
        assert found.caption.replace(" ", "") == text


def test_vocabulary_of_another_language_is_refused(experiment, vocabulary):
    rows = [{"image": Image.new("RGB", (32, 32)), "text": "红色", "style": "浪漫"}]
    config = chinese(experiment, vocabulary, language="en")
    with pytest.raises(UsageError, match="model.language"):
        Trainer(experiment=config, train_dataset=rows, device="cpu")
