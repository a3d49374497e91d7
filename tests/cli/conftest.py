"""A run that the tools made, and a way to call a tool and read its last line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ofakit.cli import finetune

QUICKSTART = Path(__file__).resolve().parents[2] / "configs" / "quickstart.json"
SMALL = [
    "data.reader.images=4", "data.reader.val=4", "data.reader.test=4", "train.max_steps=6",
    "train.dataloader.batch_size_per_gpu=8", "model.config.d_model=32", "model.config.encoder_layers=1",
    "model.config.decoder_layers=1", "model.config.encoder_ffn_dim=32", "model.config.decoder_ffn_dim=32",
    "generation.max_length=6",
]  # fmt: skip


def overrides(work_dir, *more):
    """`--set` arguments that make the quickstart small."""
    return [part for key in [*SMALL, f"work_dir={work_dir}", *more] for part in ("--set", key)]


def last_line(text):
    return json.loads(text.strip().splitlines()[-1])


@pytest.fixture(scope="session")
def run(tmp_path_factory):
    """The run directory of a small quickstart."""
    work_dir = tmp_path_factory.mktemp("runs") / "small"
    assert finetune.main(["--conf", str(QUICKSTART), "--device", "cpu", *overrides(work_dir)]) == 0
    return work_dir
