"""Twenty steps of the original trainer from the golden weights: its losses, gradients and last weights."""

from __future__ import annotations

import json

import pytest
import torch
from ofakit.models.vl.stock_names import own_names
from safetensors.torch import load_file
from torch.nn import functional as F

from tests.models.vl.golden import GOLDEN, Case, cases

TRAINED = ("vlbart_boxes", "vlt5_boxes", "vlbart_single_adapter", "vlt5_multiple_adapters", "vlbart_multiple_lora")


class OriginalAdamW:
    """AdamW of transformers 4.2.1: eps beside the uncorrected root, decay after, steps by parameter."""

    def __init__(self, groups, betas, eps):
        self.groups, self.betas, self.eps = groups, betas, eps
        self.moments = {}

    @torch.no_grad()
    def step(self, lr):
        first, second = self.betas
        for decay, parameters in self.groups:
            for p in parameters:
                if p.grad is None:
                    continue
                count, m, v = self.moments.get(p, (0, torch.zeros_like(p), torch.zeros_like(p)))
                self.moments[p] = count + 1, m, v
                size = lr * (1 - second ** (count + 1)) ** 0.5 / (1 - first ** (count + 1))
                m.mul_(first).add_(p.grad, alpha=1 - first)
                v.mul_(second).addcmul_(p.grad, p.grad, value=1 - second)
                p.addcdiv_(m, v.sqrt().add_(self.eps), value=-size)
                p.mul_(1 - lr * decay)


def loss_of(model, batch, task):
    named = {key: batch[key] for key in ("input_ids", "vis_feats", "boxes")}
    logits = model(**named, labels=batch["target_ids"], task=task if model.config.adapter else None).logits
    labels = batch["target_ids"]
    losses = F.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="none", ignore_index=-100)
    losses, there = losses.view(labels.shape), labels != -100
    if task == "caption":
        return losses.sum() / there.sum()
    return (losses.sum(1) / there.sum(1) * batch["scores"]).mean()


@pytest.mark.parametrize("name", cases(*TRAINED))
def test_twenty_steps_are_those_of_the_original(name):
    folder = GOLDEN / "training" / name
    expected = json.loads((folder / "expected.json").read_text())
    batches = {
        k: v.float() if v.is_floating_point() else v for k, v in load_file(folder / "batches.safetensors").items()
    }
    case = Case(name)
    model = case.model().train()
    own = own_names(case.weights, model.state_dict(), model.config)
    parameters = dict(model.named_parameters())
    learning = [p for p in parameters.values() if p.requires_grad]
    groups = [(g["weight_decay"], {parameters[own[key]] for key in g["parameters"]}) for g in expected["groups"]]
    assert sum(len(group) for _, group in groups) == len(learning)
    optimizer = OriginalAdamW(groups, expected["optimizer"]["betas"], expected["optimizer"]["eps"])
    for index, step in enumerate(expected["steps"]):
        batch = {key.rpartition(".")[0]: value for key, value in batches.items() if key.endswith(f".{index}")}
        model.zero_grad()
        loss = loss_of(model, batch, step["task"])
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(learning, expected["clip_grad_norm"])
        assert loss.item() == pytest.approx(step["loss"], abs=1e-4), index
        assert norm.item() == pytest.approx(step["grad_norm_before_clipping"], rel=1e-3, abs=1e-4), index
        optimizer.step(step["lr"])
    for key, value in expected["final_norms"].items():
        assert parameters[own[key]].norm().item() == pytest.approx(value, rel=1e-4, abs=1e-4), key
