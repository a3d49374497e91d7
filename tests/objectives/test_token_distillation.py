"""Token-level distillation: the formula, what it asks of a teacher, one process and two."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import torch
from ofakit.errors import UsageError
from ofakit.hub import save_bundle
from ofakit.models.ofa import OFAModel
from ofakit.objectives import OBJECTIVES, _projection
from ofakit.objectives.cross_entropy import CrossEntropy
from ofakit.objectives.token_distillation import distillation_loss
from ofakit.text import StyleSet
from ofakit.trainers.update import Updater, WeightedObjectives
from torch.nn import functional as F

from tests.two_processes import ONE, plain_updater, run_two, update_gradients

from .conftest import make_batch, make_bundle, make_examples


@pytest.fixture(params=[1, 3, 1000], ids=["a row at a time", "chunks", "whole"])
def chunks(request, monkeypatch):
    monkeypatch.setattr(_projection, "CHUNK_NUMBERS", {"cpu": 11 * request.param})


def problem(tokens=7, vocabulary=11, width=5, teacher_width=8, seed=0):
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape):
        return torch.randn(*shape, dtype=torch.float64, generator=generator)

    student = draw(tokens, width).requires_grad_(), draw(vocabulary, width).requires_grad_()
    return *student, draw(tokens, teacher_width), draw(vocabulary, teacher_width)


def test_two_tokens_by_hand():
    """Student uniform over two words, teacher 3 : 1, temperature 1; then 9 : 1, temperature 2, which makes it 3 : 1."""
    divergence = 0.75 * np.log(0.75 / 0.5) + 0.25 * np.log(0.25 / 0.5)
    for temperature, odds in ((1.0, 3.0), (2.0, 9.0)):
        logits = torch.zeros(1, 2, dtype=torch.float64, requires_grad=True)
        taught = torch.tensor([[np.log(odds), 0.0]])
        eye = torch.eye(2, dtype=torch.float64)
        loss, _ = distillation_loss(logits, eye, taught, eye, temperature, 0.5)
        loss.backward()
        assert loss.item() == pytest.approx(temperature**2 * divergence / 2)
        np.testing.assert_allclose(logits.grad, [[-0.25 * temperature / 2, 0.25 * temperature / 2]], atol=1e-12)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
def test_loss_and_gradient_are_those_of_plain_kl_div(chunks, temperature):
    hidden, weight, teacher_hidden, teacher_weight = problem()
    loss, agreement = distillation_loss(hidden, weight, teacher_hidden, teacher_weight, temperature, 0.25)
    student, teacher = hidden @ weight.t(), teacher_hidden @ teacher_weight.t()
    log_p, log_q = (student / temperature).log_softmax(-1), (teacher / temperature).log_softmax(-1)
    expected = temperature**2 * F.kl_div(log_p, log_q, reduction="sum", log_target=True) / 4
    torch.testing.assert_close(loss, expected)
    found = torch.autograd.grad(loss * 3, (hidden, weight))
    torch.testing.assert_close(found, torch.autograd.grad(expected * 3, (hidden, weight)))
    same = (student.argmax(-1) == teacher.argmax(-1)).sum().item()
    assert agreement.item() == same / 4 and not agreement.requires_grad


def test_equal_logits_give_exactly_no_loss_and_no_gradient(chunks):
    hidden, weight, *_ = problem()
    loss, agreement = distillation_loss(hidden, weight, hidden.detach(), weight.detach(), 2.0)
    loss.backward()
    assert loss.item() == 0 and agreement.item() == 7
    assert (hidden.grad == 0).all() and (weight.grad == 0).all()


def test_gradcheck(chunks):
    hidden, weight, teacher_hidden, teacher_weight = problem(tokens=4)
    assert torch.autograd.gradcheck(
        lambda h, w: distillation_loss(h, w, teacher_hidden, teacher_weight, 2.0)[0], (hidden, weight)
    )


def teacher_directory(folder, **network):
    """A model directory: the student's own weights, or those of another network."""
    bundle = make_bundle(**network)
    return str(save_bundle(bundle, folder / "teacher"))


def prepared(bundle, examples, teacher, **arguments):
    objective = OBJECTIVES.build({"type": "token_distillation", "teacher": teacher, **arguments})
    objective.prepare(examples, bundle, None)
    return objective


LARGER = {"d_model": 48, "decoder_layers": 2}


def test_a_student_equal_to_its_teacher_has_no_loss_and_no_gradient(bundle, examples, batch, tmp_path):
    objective = prepared(bundle, examples, teacher_directory(tmp_path))
    bundle.model.eval().double(), objective.teacher.double()
    batch = {**batch, "patch_images": batch["patch_images"].double()}
    loss, logs = objective(bundle.model, batch, objective.normalizer(batch), 0)
    loss.backward()
    assert abs(loss.item()) < 1e-14 and logs["agreement"].item() == pytest.approx(1.0)
    gradients = [p.grad for p in bundle.model.parameters() if p.grad is not None]
    assert len(gradients) > 30 and all(g.abs().max() < 1e-12 for g in gradients)
    with torch.no_grad():
        bundle.model.output_embedding.mul_(1.5)
    assert objective(bundle.model, batch, 10.0, 0)[0].item() > 1e-3


def test_loss_of_a_batch_is_that_of_the_logits_where_a_target_stands(bundle, examples, batch, tmp_path):
    bundle.model.eval()
    objective = prepared(bundle, examples, teacher_directory(tmp_path, **LARGER), temperature=3.0)
    loss, _ = objective(bundle.model, batch, objective.normalizer(batch), 0)
    inputs = {name: batch[name] for name in ("input_ids", "patch_images", "patch_masks", "decoder_input_ids")}
    there = batch["target"] != 1
    log_p, log_q = (model(**inputs).logits[there].div(3).log_softmax(-1) for model in (bundle.model, objective.teacher))
    expected = 9 * F.kl_div(log_p, log_q, reduction="sum", log_target=True) / there.sum()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-4) and loss.item() > 0


def test_the_teacher_is_frozen_in_evaluation_mode_and_draws_no_random_numbers(bundle, examples, batch, tmp_path):
    teacher = teacher_directory(tmp_path, dropout=0.5, **LARGER)
    before = torch.get_rng_state()
    objective = prepared(bundle, examples, teacher)
    assert torch.equal(before, torch.get_rng_state())
    weights = {name: value.clone() for name, value in objective.teacher.state_dict().items()}
    module = WeightedObjectives(bundle.model.train(), {"token_distillation": objective}, [1.0], "fp32")
    assert {id(p) for p in module.parameters()} == {id(p) for p in bundle.model.parameters()}
    optimizer = torch.optim.SGD(bundle.model.parameters(), 0.1)
    Updater(module, optimizer, torch.optim.lr_scheduler.ConstantLR(optimizer, 1.0), ONE, None, 3)([batch], 0)
    assert not objective.teacher.training and not any(m.training for m in objective.teacher.modules())
    assert all(p.grad is None and not p.requires_grad for p in objective.teacher.parameters())
    assert all(torch.equal(weights[name], value) for name, value in objective.teacher.state_dict().items())
    one, other = (objective(bundle.model.eval(), batch, 10.0, 0)[0].item() for _ in range(2))
    assert one == other
    assert isinstance(pickle.loads(pickle.dumps(objective)).teacher, OFAModel)


def test_beside_cross_entropy_the_student_runs_once(bundle, examples, batch, tmp_path):
    bundle.model.eval()
    objectives = {"ce": CrossEntropy(), "kd": prepared(bundle, examples, teacher_directory(tmp_path, **LARGER))}
    count = objectives["ce"].normalizer(batch)
    parts = [objective(bundle.model, batch, count, 0)[0] for objective in objectives.values()]
    (0.3 * parts[0] + 0.7 * parts[1]).backward()
    expected = bundle.model.decoder.layers[0].fc1.weight.grad.clone()
    bundle.model.zero_grad()
    runs = []
    handles = [
        half.register_forward_pre_hook(lambda *_, name=name: runs.append(name))
        for name, half in (("encoder", bundle.model.encoder), ("decoder", bundle.model.decoder))
    ]
    total, logs = WeightedObjectives(bundle.model, objectives, [0.3, 0.7], "fp32")(batch, [count, count], 0)
    for handle in handles:
        handle.remove()
    assert runs == ["encoder", "decoder"] and {"ce/nll", "kd/agreement"} <= set(logs)
    total.backward()
    assert total.item() == pytest.approx((0.3 * parts[0] + 0.7 * parts[1]).item(), rel=1e-6)
    torch.testing.assert_close(bundle.model.decoder.layers[0].fc1.weight.grad, expected, atol=1e-7, rtol=1e-5)


def test_features_of_a_frozen_backbone_are_for_the_student_alone(bundle, examples, batch, tmp_path):
    teacher = make_bundle(**LARGER)
    with torch.no_grad():
        teacher.model.encoder.embed_images.conv1.weight.mul_(-1)
    objective = prepared(bundle, examples, str(save_bundle(teacher, tmp_path / "teacher")))
    bundle.model.eval()
    expected = objective(bundle.model, batch, 10.0, 0)[0].item()
    features = bundle.model.visual_features(batch["patch_images"]).detach()
    assert not torch.allclose(features, objective.teacher.visual_features(batch["patch_images"]), atol=1e-3)
    shown = {**batch, "patch_features": features}
    assert objective(bundle.model, shown, 10.0, 0)[0].item() == pytest.approx(expected, rel=1e-6)
    seen = []
    backbone = bundle.model.encoder.embed_images.conv1
    handle = backbone.register_forward_pre_hook(lambda *_: seen.append("student"))
    objective(bundle.model, shown, 10.0, 0)
    handle.remove()
    assert seen == []


def test_in_bf16_the_loss_is_nearly_the_same(bundle, examples, batch, tmp_path):
    bundle.model.eval()
    objective = prepared(bundle, examples, teacher_directory(tmp_path, **LARGER))
    losses = []
    for precision in ("fp32", "bf16"):
        bundle.model.zero_grad()
        loss = WeightedObjectives(bundle.model, {"kd": objective}, [1.0], precision)(batch, [10.0], 0)[0]
        loss.backward()
        losses.append((loss.item(), bundle.model.output_embedding.grad.norm().item()))
    assert losses[1] == pytest.approx(losses[0], rel=0.05) and losses[1] != losses[0]


def test_a_student_learns_what_its_teacher_prefers(bundle, examples, batch, tmp_path):
    with torch.no_grad():
        taught = make_bundle()
        for parameter in taught.model.decoder.layers.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))
    objective = prepared(bundle, examples, str(save_bundle(taught, tmp_path / "other")))
    optimizer = torch.optim.AdamW(bundle.model.parameters(), 3e-3)
    module = WeightedObjectives(bundle.model.train(), {"kd": objective}, [1.0], "fp32")
    updater = Updater(module, optimizer, torch.optim.lr_scheduler.ConstantLR(optimizer, 1.0), ONE, 1.0, 3)
    logs = [updater([batch], step) for step in range(30)]
    assert logs[-1]["loss"] < logs[0]["loss"] / 4


@pytest.mark.parametrize(
    "spec, words",
    [
        ({}, "token_distillation: expected a model directory or hub id as 'teacher', found None"),
        ({"teacher": "./no/such/teacher"}, "the teacher could not be loaded: no model directory ./no/such/teacher"),
        ({"teacher": ".", "temperature": 0}, "temperature above 0, found 0"),
        ({"teacher": ".", "temperatur": 2}, "did you mean 'temperature'"),
    ],
)
def test_a_missing_teacher_and_a_wrong_number_are_refused_by_name(spec, words):
    with pytest.raises(UsageError, match=words):
        OBJECTIVES.build({"type": "token_distillation", **spec})


def test_a_teacher_that_does_not_fit_is_refused_before_training(bundle, examples, tmp_path):
    teacher = teacher_directory(tmp_path)
    other = copy.copy(bundle)
    other.styles = StyleSet(["gloomy", "happy"])
    with pytest.raises(UsageError, match="prompt for the style 'happy'"):
        prepared(other, examples, teacher)
    bundle.styles = StyleSet(["happy", "gloomy"], mode="new")
    bundle.styles.prepare(bundle.tokenizer)
    with pytest.raises(UsageError, match="'<style:happy>'.*no token"):
        bundle.model.resize_token_embeddings(len(bundle.tokenizer))
        prepared(bundle, examples, teacher)


TWO_PROCESSES = """
import sys
from pathlib import Path
from tests.objectives.test_token_distillation import *
from ofakit.processes import join_processes

processes = join_processes("cpu")
bounds = (0, 1, 4)[processes.rank : processes.rank + 2]
batch = {name: value[slice(*bounds)] for name, value in double_batch().items()}
found = updater_gradients(processes, [batch], sys.argv[1])
if processes.is_main:
    torch.save(found, Path(sys.argv[1]) / "two.pt")
"""


def double_batch():
    batch = make_batch(make_bundle(), make_examples())
    return {**batch, "patch_images": batch["patch_images"].double()}


def updater_gradients(processes, batches, folder):
    """The gradients just before the optimizer uses them, everything in double precision."""
    bundle, examples = make_bundle(), make_examples()
    objective = prepared(bundle, examples, f"{folder}/teacher")
    objective.teacher.double()
    bundle.model.double().train()
    objectives = {"cross_entropy": CrossEntropy(), "token_distillation": objective}
    return update_gradients(plain_updater(bundle.model, objectives, [0.5, 0.5], processes), batches, 0)


def test_two_gloo_processes_give_the_gradient_of_the_joined_batch(tmp_path):
    teacher_directory(tmp_path, **LARGER)
    run_two(TWO_PROCESSES, tmp_path)
    two = torch.load(tmp_path / "two.pt", weights_only=True)
    one = updater_gradients(ONE, [double_batch()], tmp_path)
    assert len(one) > 50 and sum(g.abs().sum() for g in one.values()) > 0
    for name, gradient in one.items():
        torch.testing.assert_close(two[name], gradient, atol=1e-12, rtol=1e-9)
