"""A small experiment on generated scenes that trains in seconds."""

from __future__ import annotations

import copy

import pytest
from modelscope.trainers.hooks.hook import Hook
from ofakit.config import parse_config
from ofakit.trainers import Trainer

SMALL = {
    "seed": 3,
    "data": {"reader": {"type": "scenes", "images": 3, "val": 4, "test": 4, "size": 32}},
    "model": {
        "tokenizer": {"train_vocab_size": 300, "num_codes": 8, "num_bins": 0},
        "config": {
            "d_model": 32, "encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 2,
            "decoder_attention_heads": 2, "encoder_ffn_dim": 32, "decoder_ffn_dim": 32, "resnet_type": "resnet18",
            "dropout": 0.1, "image_bucket_size": 4, "token_bucket_size": 16,
        },
    },
    "preprocessor": {"patch_image_size": 32, "max_image_size": 40, "strip_punctuation": False},
    "train": {
        "max_epochs": 2,
        "gradient_accumulation": 2,
        "dataloader": {"batch_size_per_gpu": 8},
        "optimizer": {"lr": 1e-3},
        "hooks": [
            {"type": "MetricsFileHook", "interval": 1},
            {"type": "SnapshotHook", "save_strategy": "by_step", "interval": 3},
        ],
    },
    "generation": {"num_beams": 2, "max_length": 6},
}  # fmt: skip


def merged(base, changes):
    for key, value in changes.items():
        if isinstance(value, dict) and isinstance(base.get(key), dict):
            merged(base[key], value)
        else:
            base[key] = value
    return base


@pytest.fixture(scope="session")
def scenes_root(tmp_path_factory):
    return tmp_path_factory.mktemp("scenes")


@pytest.fixture
def experiment(tmp_path, scenes_root):
    """Makes the configuration, with changes laid over it and a run directory of its own."""

    def make(name="run", **changes):
        values = merged(copy.deepcopy(SMALL), changes)
        values["data"]["reader"].setdefault("root", str(scenes_root))
        return parse_config({"work_dir": str(tmp_path / name), **values})

    return make


class Interrupt(Hook):
    """Stops the process' work as a kill would, after a step."""

    PRIORITY = "LOWEST"

    def __init__(self, step):
        self.step = step

    def after_train_iter(self, trainer):
        if trainer.iter + 1 == self.step:
            raise KeyboardInterrupt


def trained(config, checkpoint=None, load_all_state=True, **arguments):
    """A trainer that has trained, from a snapshot where one is given, or from a model directory's weights alone."""
    trainer = Trainer(experiment=config, device="cpu", **arguments)
    trainer.train(checkpoint, load_all_state=load_all_state)
    return trainer


def weights(trainer):
    return {name: value.clone() for name, value in trainer.model.state_dict().items()}
