"""Every loss over questions and passages: cut, permuted, padded or spread over processes, it stays what it is."""

from __future__ import annotations

import math

import pytest
import torch
from ofakit.errors import UsageError
from ofakit.objectives import OBJECTIVES
from ofakit.objectives._retrieval import RetrievalObjective, learnt_scale
from ofakit.trainers.gradient_cache import joined_loss
from ofakit.trainers.update import _RunOnce

from tests.device_scripts import NEEDS_DEVICE, run_script
from tests.objectives.small_retriever import (
    QUESTIONS,
    SmallRetriever,
    micro_batches,
    part,
    prepared,
    training_examples,
    whole_batch,
)
from tests.two_processes import ONE, plain_updater, run_two, update_gradients

BOTH = {"query": ["text", "image"], "passage": ["text", "image"]}
LOSSES = {
    "dpr": {"type": "contrastive", "loss": "dpr", **BOTH},
    "clip": {"type": "contrastive", "loss": "clip", "query": ["image"], "passage": ["text"]},
    "infonce": {"type": "contrastive", "loss": "infonce", "hardness": 5.0, "learn_temperature": True},
    "gte": {
        "type": "contrastive",
        "loss": "infonce",
        "directions": ["query_to_passage", "passage_to_query", "query_to_query", "passage_to_passage"],
        "hardness": 9.0,
        "hardness_of": "in_batch_negatives",
    },
    "margin_mse": {"type": "margin_mse", **BOTH},
    "kl": {"type": "kl_distillation", "temperature": 2.0, "min_max": True, **BOTH},
    "joint": {"type": "joint_contrastive"},
}
each_loss = pytest.mark.parametrize("name", LOSSES)


def objective_of(name, model):
    return prepared(OBJECTIVES.build(LOSSES[name]), model)


def double_model():
    return SmallRetriever().double()


def gradients_at_once(name, batch, model=None):
    model = model or double_model()
    loss, logs = objective_of(name, model)(model, batch, 1, 0)
    loss.backward()
    return loss.item(), logs, {n: p.grad for n, p in model.named_parameters() if p.grad is not None}


def gradients_by_updates(name, batches, processes=ONE):
    model = double_model()
    updater = plain_updater(model, {name: objective_of(name, model)}, [1.0], processes)
    return update_gradients(updater, batches, 0)


def test_every_objective_of_retrieval_is_looked_at():
    """But for those that look at something else than questions and passages of the batch."""
    members = {kind: OBJECTIVES.get(kind) for kind in OBJECTIVES.names()}
    usual = RetrievalObjective.represent
    assert {spec["type"] for spec in LOSSES.values()} == {
        kind for kind, member in members.items() if getattr(member, "represent", None) is usual
    }


@each_loss
@pytest.mark.parametrize("counts", [[QUESTIONS], [1] * QUESTIONS, [7, 5]])
def test_micro_batches_give_loss_and_gradient_of_the_whole(name, counts):
    batch = whole_batch()
    loss, _, wanted = gradients_at_once(name, batch)
    found = gradients_by_updates(name, micro_batches(batch, counts))
    assert loss > 0.01 and found.keys() >= wanted.keys() and len(wanted) >= 4
    for parameter, gradient in wanted.items():
        assert (found[parameter] - gradient).norm() <= 1e-12 * (1 + gradient.norm()), parameter
    if name in ("clip", "infonce", "joint"):
        assert abs(wanted["logit_scale"]) > 1e-3


TWO_PROCESSES = """
import sys
from pathlib import Path
from ofakit.processes import join_processes
from tests.objectives.test_retrieval import *

processes = join_processes("cpu")
mine = micro_batches(whole_batch(), [5, 2, 1, 4])[2 * processes.rank :][:2]
found = {name: gradients_by_updates(name, mine, processes) for name in LOSSES}
if processes.is_main:
    torch.save(found, Path(sys.argv[1]) / "found.pt")
"""


def test_two_processes_give_the_gradient_of_one(tmp_path):
    run_two(TWO_PROCESSES, tmp_path)
    two = torch.load(tmp_path / "found.pt", weights_only=True)
    for name in LOSSES:
        _, _, wanted = gradients_at_once(name, whole_batch())
        for parameter, gradient in wanted.items():
            assert (two[name][parameter] - gradient).norm() <= 1e-12 * (1 + gradient.norm()), (name, parameter)


@each_loss
def test_the_second_pass_has_the_masks_of_the_first(name):
    batches = micro_batches(whole_batch(), [4, 8])

    def gradients(cached):
        model = SmallRetriever(0.4).double().train()
        objective = objective_of(name, model)
        torch.manual_seed(5)
        if cached:
            replays = joined_loss(objective, model, batches, ONE).replays
            for batch, replay in zip(batches, replays, strict=True):
                replay.surrogate(objective, model, batch).backward()
        else:
            parts = [objective.represent(model, batch) for batch in batches]
            objective.loss({key: torch.cat([found[key] for found in parts]) for key in parts[0]})[0].backward()
        return torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])

    found, wanted = gradients(True), gradients(False)
    assert wanted.norm() > 0.01 and (found - wanted).norm() < 1e-12 * (1 + wanted.norm())


@each_loss
def test_the_order_of_questions_and_passages_does_not_matter(name):
    batch, generator = whole_batch(), torch.Generator().manual_seed(8)
    rows = torch.randperm(QUESTIONS, generator=generator)
    columns = torch.randperm(len(batch["owner"]), generator=generator)
    loss, logs, gradients = gradients_at_once(name, batch)
    again, same_logs, permuted = gradients_at_once(name, part(batch, rows, columns))
    assert again == pytest.approx(loss, rel=1e-12) and same_logs.keys() == logs.keys()
    assert all(torch.allclose(permuted[key], gradient, atol=1e-12) for key, gradient in gradients.items())


@each_loss
def test_padding_does_not_matter(name):
    assert gradients_at_once(name, whole_batch(padding=9))[0] == gradients_at_once(name, whole_batch())[0]


@each_loss
def test_a_batch_without_any_positive_is_0_and_teaches_nothing(name):
    loss, logs, gradients = gradients_at_once(name, whole_batch(positives=False))
    if name == "kl":  # which learns from lists, whether they hold a positive or not
        assert loss > 0
        return
    assert loss == 0.0 and gradients
    assert all(torch.equal(gradient, torch.zeros_like(gradient)) for gradient in gradients.values())


@each_loss
def test_one_question_with_one_passage_is_finite(name):
    batch = whole_batch()
    alone = part(batch, torch.tensor([0]))
    assert len(alone["owner"]) == 1
    loss, _, gradients = gradients_at_once(name, alone)
    # the joint partition of both ways counts the pair itself twice
    assert loss == pytest.approx(math.log(2) if name == "gte" else 0.0, abs=1e-12)
    assert all(gradient.isfinite().all() for gradient in gradients.values())


@each_loss
def test_numbers_of_any_size_stay_finite(name):
    model = double_model().float()
    with torch.no_grad():
        for linear in model.sides.values():
            linear.weight *= 1e4
    loss, _, gradients = gradients_at_once(name, whole_batch(), model)
    assert loss >= 0 and loss < float("inf")
    assert all(gradient.isfinite().all() for gradient in gradients.values())


@pytest.mark.parametrize("counts", [[QUESTIONS], [7, 5]])
def test_several_objectives_share_what_the_model_makes_of_a_batch(counts):
    """With dropout: each has the masks of its first pass, which are those of the one that asked first."""
    names, shares = ["dpr", "kl", "margin_mse", "joint"], [1.0, 0.5, 0.25, 2.0]
    batches = micro_batches(whole_batch(), counts)

    def gradients(updated, weights):
        model, seen = SmallRetriever(0.4).double().train(), []
        handles = [side.register_forward_hook(lambda *_: seen.append(1)) for side in model.sides.values()]
        updater = plain_updater(model, {name: objective_of(name, model) for name in updated}, weights, ONE)
        torch.manual_seed(5)
        found = update_gradients(updater, batches, 0)
        [handle.remove() for handle in handles]
        return found, len(seen)

    together, passes = gradients(names, shares)
    # dpr, kl and margin_mse have two vectors in common; joint has three of its own
    assert passes == (2 + 3) * len(counts) * (1 if len(counts) == 1 else 2)
    model = SmallRetriever(0.4).double().train()
    objectives = [objective_of(name, model) for name in names]
    torch.manual_seed(5)
    views = [_RunOnce(model) for _ in batches]
    total = 0
    for objective, share in zip(objectives, shares, strict=True):
        parts = [objective.represent(view, batch) for view, batch in zip(views, batches, strict=True)]
        total += share * objective.loss({key: torch.cat([part[key] for part in parts]) for key in parts[0]})[0]
    total.backward()
    wanted = {name: parameter.grad for name, parameter in model.named_parameters()}
    assert all((together[name] - wanted[name]).norm() < 1e-12 * (1 + wanted[name].norm()) for name in wanted)


ELSEWHERE = """
import json
from tests import pretended_device
from tests.objectives.test_retrieval import *
from ofakit.preprocessors.batches import move_batch
from ofakit.processes import Processes

def gradients_on(device, name):
    model = SmallRetriever().to(device)
    updater = plain_updater(model, {name: objective_of(name, model)}, [1.0], Processes(0, 1, torch.device(device)))
    batches = [move_batch(batch, device) for batch in micro_batches(whole_batch(), [5, 7])]
    found = update_gradients(updater, batches, 0)
    return torch.cat([gradient.to("cpu").flatten() for gradient in found.values()])

apart = {}
for name in LOSSES:
    there, here = gradients_on("sim", name), gradients_on("cpu", name)
    apart[name] = ((there - here).norm() / here.norm()).item()
print(json.dumps(apart))
"""


@NEEDS_DEVICE
def test_nothing_mixes_devices():
    apart = run_script(ELSEWHERE)
    assert apart.keys() == LOSSES.keys() and max(apart.values()) < 1e-5


class TestGroups:
    def objectives(self, model, **options):
        specs = {group: {**LOSSES["dpr"], "groups": [group]} for group in ("a", "b")}
        return {name: prepared(OBJECTIVES.build(spec), model, **options) for name, spec in specs.items()}

    def test_each_learns_from_its_own(self):
        batch, model = whole_batch(), double_model()
        of_a = part(batch, torch.arange(0, QUESTIONS, 2))
        alone = plain_updater(model, {"a": self.objectives(model)["a"]}, [1.0], ONE)
        wanted = update_gradients(alone, [of_a], 0)
        model = double_model()
        both = plain_updater(model, self.objectives(model), [1.0, 1.0], ONE)
        found = update_gradients(both, [of_a], 0)
        assert wanted.keys() == found.keys() and all(torch.equal(found[key], wanted[key]) for key in wanted)
        logs = both([of_a], 1)
        assert logs["a/loss"] > 0 and not any(name.startswith("b/") for name in logs)

    def test_a_batch_of_both_is_refused(self):
        model = double_model()
        with pytest.raises(UsageError, match="mixes examples of a with others; set train.dataloader.mixing"):
            self.objectives(model)["a"].learns_from(whole_batch())

    def test_a_batch_of_another_task_is_not_asked_for_its_groups(self):
        objective = self.objectives(double_model())["a"]
        objective.part = "search"
        assert not objective.learns_from({"task": "caption"})
        assert not objective.learns_from({"task": "search", "query_index": torch.tensor([1])})
        assert objective.learns_from({"task": "search", "query_index": torch.tensor([0, 2])})


def test_passages_that_are_known_to_answer_are_no_negatives():
    """Question 3 knows of passages that were sampled for others: without that knowledge they would push it away."""
    model, batch = double_model(), whole_batch()
    informed = objective_of("dpr", model)(model, batch, 1, 0)[0].item()
    forgetful = OBJECTIVES.build(LOSSES["dpr"])
    forgetful.known = torch.zeros(0, dtype=torch.int64)
    assert informed < forgetful(model, batch, 1, 0)[0].item()


class TestRefusals:
    def test_examples_of_another_task(self):
        bundle = type("Bundle", (), {"model": double_model()})
        with pytest.raises(UsageError, match="questions with passages, found str; set task to multimodal-retrieval"):
            OBJECTIVES.build(LOSSES["dpr"]).prepare(["a caption"], bundle, None)

    def test_a_model_without_vectors(self):
        bundle = type("Bundle", (), {"model": torch.nn.Linear(1, 1)})
        with pytest.raises(UsageError, match="model that computes vectors, found Linear; set model.type to retriever"):
            OBJECTIVES.build(LOSSES["kl"]).prepare(training_examples(), bundle, None)

    @pytest.mark.parametrize("key", ["query", "passage"])
    def test_modalities_that_there_are_not(self, key):
        with pytest.raises(UsageError, match="'txt' of .*did you mean 'text'"):
            OBJECTIVES.build({"type": "margin_mse", key: ["txt"]})
        with pytest.raises(UsageError, match="text, image or both"):
            OBJECTIVES.build({"type": "margin_mse", key: []})

    @pytest.mark.parametrize("name", ["margin_mse", "kl"])
    def test_a_batch_without_a_teacher(self, name):
        model, batch = double_model(), whole_batch()
        del batch["teacher"]
        with pytest.raises(UsageError, match="teacher's scores.*data.teacher_scores"):
            objective_of(name, model).represent(model, batch)

    @pytest.mark.parametrize("name", ["clip", "joint"])
    def test_a_model_that_cannot_learn_the_scale(self, name):
        model = double_model()
        del model.logit_scale
        model.logit_scale = None
        objective = OBJECTIVES.build(LOSSES[name])
        objective.prepare(training_examples(), type("Bundle", (), {"model": model}), None)
        with pytest.raises(UsageError, match="parameter logit_scale"):
            objective.represent(model, whole_batch())


def test_a_scale_is_capped_and_learns_up_to_its_limit():
    at_the_limit = torch.tensor([4.605170185988092], requires_grad=True)
    learnt_scale(at_the_limit).backward()
    assert at_the_limit.grad.item() == pytest.approx(100, rel=1e-5)
    assert learnt_scale(torch.tensor([7.0])).item() == pytest.approx(100, rel=1e-5)
