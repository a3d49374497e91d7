"""What tests of whole commands share: a very small run, started as a process of its own and watched from outside."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import torch
from ofakit.hub import load_bundle

ROOT = Path(__file__).resolve().parents[2]
TRAIN = str(ROOT / "tools" / "finetune.py")
HOOKS = [
    {"type": "MetricsFileHook", "interval": 1},
    {"type": "SnapshotHook", "save_strategy": "by_step", "interval": 4},
]


def arguments(work_dir, steps=2000, hooks=HOOKS, **more):
    """A very small run of the quickstart that does not end by itself."""
    network = {
        "d_model": 32, "encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 2,
        "decoder_attention_heads": 2, "encoder_ffn_dim": 32, "decoder_ffn_dim": 32, "resnet_type": "resnet18",
        "dropout": 0.1, "image_bucket_size": 4, "token_bucket_size": 16,
    }  # fmt: skip
    keys = {
        "work_dir": work_dir, "data.reader.images": 6, "data.reader.val": 4, "data.reader.test": 4, "data.val": "null",
        "data.test": "null", "data.image_store": work_dir.parent / "images", "data.root": work_dir.parent / "scenes",
        "model.config": json.dumps(network), "train.max_epochs": 9999, "train.max_steps": steps,
        "train.dataloader.batch_size_per_gpu": 4, "preprocessor.patch_image_size": 32,
        "preprocessor.max_image_size": "null", "train.hooks": json.dumps(hooks), **more,
    }  # fmt: skip
    sets = [part for key, value in keys.items() for part in ("--set", f"{key}={value}")]
    return ["--conf", str(ROOT / "configs/quickstart.json"), "--resume", "auto", *sets]


def start(command, log, variables=None, **streams):
    """Start Python; `variables` come on top of the environment."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT / "plugins"), **(variables or {})}
    with open(log, "ab") as stderr:
        both = {"stdout": subprocess.DEVNULL, "stderr": stderr, **streams}
        return subprocess.Popen([sys.executable, *command], env=environment, **both)


def wait_for_steps(run, work_dir, steps, seconds=240):
    """Return when the run has logged so many steps."""
    path = work_dir / "metrics.jsonl"
    until = time.monotonic() + seconds
    while not path.exists() or path.read_text().count('"loss"') < steps:
        assert run.poll() is None and time.monotonic() < until
        time.sleep(0.05)


def same_weights(one, other):
    """Whether two runs ended with the same bits."""
    one, other = (load_bundle(folder / "output").model.state_dict() for folder in (one, other))
    return one.keys() == other.keys() and all(torch.equal(value, other[name]) for name, value in one.items())
