"""Hypotheses of the stock generator, token for token."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from ofakit.models.generation.generate import score_sequences
from ofakit.models.ofa import OFAConfig, OFAModel, generate
from safetensors.torch import load_file

CASES = ["image_text", "mixed_missing_image", "text_only", "shared_bias_resnet50", "entangled_no_normformer"]
SETTINGS = ["beam5", "greedy", "beam3_lenpen"]
NAMES = {
    "beam_size": "num_beams",
    "max_len_b": "max_length",
    "min_len": "min_length",
    "no_repeat_ngram_size": "no_repeat_ngram_size",
    "len_penalty": "length_penalty",
}


@pytest.fixture(scope="module", params=CASES)
def case(request: pytest.FixtureRequest, shared: Path) -> tuple[OFAModel, dict, dict]:
    folder = shared / "golden" / "ofa" / request.param
    expected = json.loads((folder / "expected.json").read_text())
    model = OFAModel(OFAConfig(**expected["config"])).eval()
    weights = load_file(folder / "weights_fp16.safetensors")
    model.load_stock_state_dict({k: v.float() if v.is_floating_point() else v for k, v in weights.items()})
    inputs = load_file(folder / "inputs.safetensors")
    if "patch_images" in inputs:
        inputs["patch_images"] = inputs["patch_images"].float()
    return model, inputs, expected["generation"]


def arguments(stock: dict) -> dict:
    return {NAMES[name]: value for name, value in stock.items()}


@pytest.mark.parametrize("setting", SETTINGS)
def test_the_stock_hypotheses(case, setting: str):
    model, inputs, generation = case
    wanted = generation[setting]
    settings = arguments(wanted["args"])
    found = generate(model, inputs, num_return_sequences=settings["num_beams"], **settings)
    assert len(found) == len(wanted["hypotheses"])
    for ours, stock in zip(found, wanted["hypotheses"], strict=True):
        assert [hypothesis.tokens for hypothesis in ours] == [hypothesis["tokens"] for hypothesis in stock]
        assert [h.score for h in ours] == pytest.approx([h["score"] for h in stock], abs=1e-4)


@pytest.mark.parametrize("setting", SETTINGS)
def test_score_sequences_gives_the_stock_scores(case, setting: str):
    model, inputs, generation = case
    best = [hypotheses[0] for hypotheses in generation[setting]["hypotheses"]]
    penalty = generation[setting]["args"].get("len_penalty", 1.0)
    scores = score_sequences(model, inputs, [hypothesis["tokens"] for hypothesis in best])
    for row, hypothesis in zip(scores, best, strict=True):
        assert float(row.sum()) / len(hypothesis["tokens"]) ** penalty == pytest.approx(hypothesis["score"], abs=1e-4)
        assert torch.all(row[len(hypothesis["tokens"]) :] == 0)
