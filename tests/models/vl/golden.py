"""The golden cases of VL-T5, VL-BART and VL-Adapter, beside the checkout; tests of them skip where they are absent."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from ofakit.models.vl import VLConfig, VLModel
from safetensors.torch import load_file

SHARED = Path(os.environ.get("OFAKIT_SHARED") or Path(__file__).resolve().parents[4] / "shared")
GOLDEN = SHARED / "golden" / "vl"
NAMES = sorted(folder.name for folder in GOLDEN.glob("vl*")) if GOLDEN.is_dir() else []
ABSENT = pytest.param("none", marks=pytest.mark.skip(reason=f"no golden numbers at {GOLDEN}"))


def cases(*wanted: str, adapters: bool | None = None) -> list[Any]:
    """Names of cases for `parametrize`; one that skips where there are none."""
    plain = ("_boxes", "_grid", "_plain_visual", "_shared_norm_scaled")
    names = [
        name
        for name in NAMES
        if (not wanted or name in wanted) and (adapters is None or adapters != any(part in name for part in plain))
    ]
    return list(names) or [ABSENT]


class Case:
    """One case: its model with the golden weights, what goes in, and what comes out."""

    def __init__(self, name: str) -> None:
        folder = GOLDEN / name
        self.config = json.loads((folder / "config.json").read_text())
        self.expected = json.loads((folder / "expected.json").read_text())
        self.inputs = {key: _full(value) for key, value in load_file(folder / "inputs.safetensors").items()}
        self.outputs = load_file(folder / "outputs.safetensors")
        self.weights = {key: _full(value) for key, value in load_file(folder / "weights_fp16.safetensors").items()}
        self.task = self.expected["task"]

    def model(self) -> VLModel:
        """The model in evaluation mode."""
        model = VLModel(VLConfig(**self.config))
        assert model.load_stock_state_dict(self.weights) == ([], [])
        return model.eval()

    def batch(self, task: str | None = None) -> dict[str, Any]:
        """What the model is called with."""
        inputs = self.inputs
        named = {"input_ids": inputs["input_ids"], "vis_feats": inputs["vis_feats"], "boxes": inputs["boxes"]}
        return {**named, "labels": inputs["target_ids"], "task": task or self.task}


def _full(value: torch.Tensor) -> torch.Tensor:
    return value.float() if value.is_floating_point() else value
