"""Twenty steps of adapters by VL-Adapter's own optimizer, beside what its code gave."""

from __future__ import annotations

import json
import math

import pytest
import torch
from ofakit.models.vl import VLConfig, VLModel
from ofakit.models.vl.stock_names import own_names
from safetensors.torch import load_file
from torch.nn import functional as F

CASES = ["vlbart_single_adapter", "vlt5_multiple_adapters", "vlbart_multiple_lora"]


@pytest.fixture(scope="module", params=CASES)
def case(request, shared):
    folder = shared / "golden" / "vl" / "training" / request.param
    if not folder.exists():
        pytest.skip(f"no golden training {folder}")
    return folder


def made(folder):
    """The model that the training starts from, what its code expects, and our names."""
    expected = json.loads((folder / "expected.json").read_text())
    start = folder.parents[1] / expected["start"]
    weights = {name: value.float() for name, value in load_file(start / "weights_fp16.safetensors").items()}
    model = VLModel(VLConfig(**json.loads((start / "config.json").read_text())))
    assert model.load_stock_state_dict(weights) == ([], [])
    return model.train(), expected, own_names(weights, model.state_dict(), model.config)


def adamw(parameters, moments, rate, decays, eps=1e-6, betas=(0.9, 0.999)):
    """AdamW of transformers 4.2.1: eps beside the uncorrected root, decay after the step, steps by parameter."""
    for name, parameter in parameters.items():
        if parameter.grad is None:
            continue
        mean, square, steps = moments.setdefault(name, [torch.zeros_like(parameter), torch.zeros_like(parameter), 0])
        step = moments[name][2] = steps + 1
        size = rate * math.sqrt(1 - betas[1] ** step) / (1 - betas[0] ** step)
        mean.mul_(betas[0]).add_(parameter.grad, alpha=1 - betas[0])
        square.mul_(betas[1]).addcmul_(parameter.grad, parameter.grad, value=1 - betas[1])
        parameter.data.addcdiv_(mean, square.sqrt().add_(eps), value=-size)
        parameter.data.mul_(1 - rate * decays.get(name, 0.0))


def loss_of(model, batch, task):
    """That of the original trainers: of all tokens for captions, by example and weighted for questions."""
    labels = batch["target_ids"]
    given = {name: batch[name] for name in ("input_ids", "vis_feats", "boxes")}
    logits = model(**given, labels=labels, task=task).logits
    if task == "caption":
        return F.cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=-100)
    each = F.cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=-100, reduction="none")
    there = labels != -100
    return (each.view(labels.shape).sum(1) / there.sum(1).clamp(min=1) * batch["scores"]).mean()


def test_the_curve_is_that_of_the_original(case):
    model, expected, own = made(case)
    batches = load_file(case / "batches.safetensors")
    parameters = {name: p for name, p in model.named_parameters() if p.requires_grad}
    decays = {own[name]: group["weight_decay"] for group in expected["groups"] for name in group["parameters"]}
    assert decays.keys() == parameters.keys()
    moments = {}
    for number, step in enumerate(expected["steps"]):
        batch = {n: batches[f"{n}.{number}"] for n in ("input_ids", "target_ids", "vis_feats", "boxes", "scores")}
        batch = {name: value.float() if value.is_floating_point() else value for name, value in batch.items()}
        loss = loss_of(model, batch, step["task"])
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(parameters.values(), expected["clip_grad_norm"])
        assert loss.item() == pytest.approx(step["loss"], abs=1e-4), number
        assert norm.item() == pytest.approx(step["grad_norm_before_clipping"], rel=1e-3), number
        with torch.no_grad():
            adamw(parameters, moments, step["lr"], decays)
        model.zero_grad()
    for name, norm in expected["final_norms"].items():
        assert parameters[own[name]].norm().item() == pytest.approx(norm, abs=1e-4, rel=1e-4), name
