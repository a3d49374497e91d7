"""SCST: advantages, hand-computed gradients, what is rewarded and what is not, one process and two."""

from __future__ import annotations

import pickle
import threading
import time
from concurrent.futures import Future

import numpy as np
import pytest
import torch
from ofakit.errors import UsageError
from ofakit.models.ofa import freeze
from ofakit.objectives import OBJECTIVES
from ofakit.objectives.scst import BASELINES, SCST, advantages, shifted_right
from ofakit.rewards import REWARDS
from ofakit.trainers.update import Updater, WeightedObjectives

from tests.two_processes import ONE, plain_updater, run_two, update_gradients

from .conftest import make_batch, make_bundle, make_examples, make_sequences


@pytest.mark.parametrize("kind", ["numpy", "torch"])
@pytest.mark.parametrize("baseline", ["leave_one_out", "mean", "group_normalized"])
def test_advantages_of_an_image_sum_to_zero_and_equal_rewards_give_exactly_zero(baseline, kind):
    rewards = np.random.default_rng(1).gamma(2.0, size=(7, 5))
    equal = np.full((3, 3), 0.1)
    if kind == "torch":
        rewards, equal = torch.tensor(rewards), torch.tensor(equal)
    found = advantages(rewards, baseline)
    assert type(found) is type(rewards) and tuple(found.shape) == (7, 5)
    assert abs(found.sum(1)).max() < 1e-12 and abs(found).min() > 0
    assert (advantages(equal, baseline) == 0).all()


def test_leave_one_out_is_the_mean_of_the_others():
    rewards = np.random.default_rng(2).normal(size=(4, 5))
    for image, row in enumerate(advantages(rewards)):
        for i, value in enumerate(row):
            others = np.delete(rewards[image], i)
            assert value == pytest.approx(rewards[image, i] - others.mean(), abs=1e-12)


def test_group_normalized_has_unit_variance_and_greedy_subtracts_its_own():
    rewards = np.array([[1.0, 2.0, 6.0], [4.0, 4.5, 9.0]])
    assert advantages(rewards, "group_normalized").std(1) == pytest.approx([1, 1], abs=1e-6)
    np.testing.assert_allclose(advantages(rewards, "greedy", [2.0, 4.0]), [[-1, 0, 4], [0, 0.5, 5]])


@pytest.mark.parametrize(
    "arguments, words",
    [
        (([[1.0]],), "one per image.*2 samples"),
        (([[1.0, 2.0]], "meen"), "did you mean 'mean'"),
        (([[1.0, 2.0]], "greedy"), "rewards of greedy captions"),
        (([1.0, 2.0],), r"\(images, samples\)"),
    ],
)
def test_wrong_advantages_are_refused(arguments, words):
    with pytest.raises(UsageError, match=words):
        advantages(*arguments)


@pytest.mark.parametrize("baseline", BASELINES)
def test_one_sample_is_refused_except_beside_a_greedy_caption(baseline):
    if baseline == "greedy":
        assert SCST(samples=1, baseline=baseline).samples == 1
        return
    with pytest.raises(UsageError, match="samples of at least 2.*found 1"):
        SCST(samples=1, baseline=baseline)


def objective_for(bundle, examples, work_dir=None, **arguments):
    objective = SCST(**arguments)
    objective.prepare(examples, bundle, None)
    objective.begin(bundle, work_dir, resumed=False)
    return objective


def completed(objective, bundle, batch, step=0):
    return {**batch, **objective.complete(bundle.model, batch, step)}


@pytest.mark.parametrize("sample", [False, True])
def test_captions_are_written_rewarded_and_counted(bundle, examples, batch, sample):
    objective = objective_for(bundle, examples, samples=3, sample=sample)
    bundle.model.train()
    whole = completed(objective, bundle, batch)
    assert bundle.model.training and bundle.model.encoder.training
    target = whole["scst/target"]
    assert target.shape[0] == 12 and target.shape[1] <= 9
    assert objective.normalizer(whole) == (target != 1).sum() == sum(len(row[row != 1]) for row in target)
    assert all(row[row != 1][-1] == 2 for row in target)
    captions = [text.strip() for text in bundle.tokenizer.decode_batch(target.tolist())]
    references = [objective.references[k // 3] for k in range(12)]
    rewards = objective.rewards.rewards["cider_d"](captions, references, [None] * 12)
    advantage, rewarded = whole["scst/rewarded"]()
    np.testing.assert_array_equal(rewarded["reward"], rewards)
    np.testing.assert_array_equal(advantage, advantages(rewards.reshape(4, 3)).reshape(-1))
    assert target[:, 0].unique().numel() > 1 or not sample


def test_samples_depend_on_step_and_position_but_not_on_the_batch(bundle, examples, batch):
    objective = objective_for(bundle, examples, samples=2, sample=True, max_length=5)
    whole = objective.complete(bundle.model, batch, 4)["scst/target"]
    part = {name: value[2:] for name, value in batch.items()}
    rows = objective.complete(bundle.model, part, 4)["scst/target"]
    assert torch.equal(whole[4:, : rows.shape[1]], rows)
    other = objective.complete(bundle.model, batch, 5)["scst/target"]
    assert other.shape != whole.shape or not torch.equal(other, whole)


def gradients(bundle, objective, batch, normalizer=None):
    bundle.model.zero_grad()
    normalizer = normalizer or objective.normalizer(batch)
    loss, logs = objective(bundle.model, batch, normalizer, 0)
    loss.backward()
    return {n: p.grad.clone() for n, p in bundle.model.named_parameters() if p.grad is not None}, logs


def test_a_constant_reward_gives_exactly_no_gradient(bundle, examples, batch):
    objective = objective_for(bundle, examples, samples=3, sample=True)
    objective.rewards = lambda candidates, *_: (np.full(len(candidates), 0.1), {})
    constant, _ = gradients(bundle, objective, completed(objective, bundle, batch))
    assert len(constant) > 30 and all((g == 0).all() for g in constant.values())
    objective.rewards = lambda candidates, *_: (np.arange(len(candidates)) ** 2.0, {})
    varied, _ = gradients(bundle, objective, completed(objective, bundle, batch))
    assert sum(g.abs().sum() for g in varied.values()) > 0


def given(bundle, batch, rows=3):
    """Hypotheses of different lengths with advantages, as `complete` would give them."""
    target = make_sequences(len(batch["input_ids"]) * rows)
    advantage = torch.randn(len(target), dtype=torch.float64, generator=torch.Generator().manual_seed(5))
    previous = shifted_right(target, 0, 2, 1)
    rewarded = rewards_of(advantage)
    return {**batch, "scst/target": target, "scst/decoder_input_ids": previous, "scst/rewarded": rewarded}


def rewards_of(advantage):
    """What stands for rewards that are not asked for."""
    return lambda: (advantage, {})


def test_second_pass_equals_repeating_every_image(bundle, batch):
    bundle.model.eval().double()
    batch = given(bundle, {**batch, "patch_images": batch["patch_images"].double()})
    found, logs = gradients(bundle, SCST(), batch)
    rows = torch.arange(4).repeat_interleave(3)
    inputs = {name: batch[name][rows] for name in ("input_ids", "patch_images", "patch_masks")}
    logits = bundle.model(**inputs, decoder_input_ids=batch["scst/decoder_input_ids"]).logits
    target = batch["scst/target"]
    log_p = logits.log_softmax(-1).gather(2, target[..., None])[..., 0]
    there = target != 1
    expected = -(batch["scst/rewarded"]()[0][:, None] * log_p)[there].sum() / there.sum()
    bundle.model.zero_grad()
    expected.backward()
    torch.testing.assert_close(logs["loss"], expected.detach())
    for name, parameter in bundle.model.named_parameters():
        if name in found:
            torch.testing.assert_close(found[name], parameter.grad, atol=1e-12, rtol=1e-9)


def test_pads_do_not_matter_and_the_encoder_runs_once_an_image(bundle, batch):
    bundle.model.eval().double()
    batch = given(bundle, {**batch, "patch_images": batch["patch_images"].double()})
    seen = []
    handle = bundle.model.encoder.register_forward_pre_hook(lambda _, inputs: seen.append(len(inputs[0])))
    short, _ = gradients(bundle, SCST(), batch)
    handle.remove()
    assert seen == [4]
    pads = batch["scst/target"].new_ones(12, 3)
    wide = {name: torch.cat([batch[name], pads], 1) for name in ("scst/target", "scst/decoder_input_ids")}
    long, _ = gradients(bundle, SCST(), {**batch, **wide})
    for name, gradient in short.items():
        torch.testing.assert_close(long[name], gradient, atol=1e-12, rtol=1e-9)


def test_without_train_mode_dropout_is_off_in_the_second_pass_alone():
    bundle = make_bundle(dropout=0.5)
    batch = given(bundle, make_batch(bundle, make_examples()))
    bundle.model.train()
    still = [SCST(train_mode=False)(bundle.model, batch, 10.0, 0)[0].item() for _ in range(2)]
    moving = [SCST()(bundle.model, batch, 10.0, 0)[0].item() for _ in range(2)]
    assert still[0] == still[1] and moving[0] != moving[1] and bundle.model.training


def test_divergence_is_zero_at_the_start_and_grows(bundle, examples, batch, tmp_path):
    arguments = {"samples": 2, "baseline": "group_normalized", "kl_weight": 0.7, "train_mode": False}
    objective = objective_for(bundle, examples, tmp_path, **arguments)
    objective.rewards = lambda candidates, *_: (np.zeros(len(candidates)), {})
    bundle.model.train()
    start = completed(objective, bundle, batch)
    assert objective(bundle.model, start, 1.0, 0)[0].item() == pytest.approx(0.0, abs=1e-5)
    with torch.no_grad():
        bundle.model.output_embedding.mul_(1.5)
    moved = completed(objective, bundle, batch)
    assert objective(bundle.model, moved, 1.0, 0)[0].item() > 1e-3


class AtOnce:
    """Does what it is asked to before it returns, as if nothing overlapped."""

    def submit(self, function, *arguments):
        done = Future()
        done.set_result(function(*arguments))
        return done


@pytest.mark.parametrize("baseline", ["leave_one_out", "greedy"])
def test_rewards_that_overlap_give_the_numbers_of_rewards_that_are_waited_for(baseline, tmp_path):
    """Three steps of two micro-batches with a divergence; the slow rewards end long after it was asked."""
    weights, threads = [], set()
    for overlap in (True, False):
        bundle, examples = make_bundle(), make_examples()
        arguments = {"samples": 3, "sample": True, "baseline": baseline, "kl_weight": 0.1}
        objective = objective_for(bundle, examples, tmp_path, **arguments)
        objective.rewards = slowly(objective.rewards, threads)
        if not overlap:
            objective.thread = AtOnce()
        updater = updater_of(bundle, objective)
        whole = make_batch(bundle, examples)
        halves = [{name: value[part] for name, value in whole.items()} for part in (slice(0, 2), slice(2, 4))]
        logs = [updater(halves, step) for step in range(3)]
        weights.append((logs, {n: p.detach().clone() for n, p in bundle.model.named_parameters()}))
    (first, overlapped), (second, waited) = weights
    assert first == second and first[0] != first[2]
    assert all(torch.equal(overlapped[name], waited[name]) for name in waited)
    assert threading.main_thread().name in threads and len(threads) == 2


def slowly(rewards, threads):
    def reward(*arguments):
        threads.add(threading.current_thread().name)
        time.sleep(0.1)
        return rewards(*arguments)

    return reward


def updater_of(bundle, objective):
    optimizer = torch.optim.AdamW(bundle.model.parameters(), 3e-3)
    module = WeightedObjectives(bundle.model.train(), {"scst": objective}, [1.0], "fp32")
    return Updater(module, optimizer, torch.optim.lr_scheduler.ConstantLR(optimizer, 1.0), ONE, 1.0, 3)


def test_the_next_captions_are_written_while_rewards_are_computed(bundle, examples, batch):
    objective = objective_for(bundle, examples, samples=2)
    may_end = threading.Event()
    rewards = objective.rewards
    objective.rewards = lambda *arguments: may_end.wait(60) and rewards(*arguments)
    first, second = completed(objective, bundle, batch), completed(objective, bundle, batch)
    may_end.set()
    advantage, rewarded = second["scst/rewarded"]()
    assert len(advantage) == len(rewarded["reward/cider_d"]) == 8
    np.testing.assert_array_equal(advantage, first["scst/rewarded"]()[0])


def test_an_error_of_a_reward_ends_the_step_with_its_own_message(bundle, examples, batch):
    objective = objective_for(bundle, examples, samples=2)

    def refuses(*_):
        raise UsageError("the judge has no dictionary for Greek; give it one")

    objective.rewards = refuses
    before = {n: p.detach().clone() for n, p in bundle.model.named_parameters()}
    with pytest.raises(UsageError, match="no dictionary for Greek"):
        updater_of(bundle, objective)([batch], 0)
    assert all(torch.equal(p, before[n]) for n, p in bundle.model.named_parameters())


def test_it_is_picklable_after_it_has_asked_for_rewards(bundle, examples, batch):
    objective = objective_for(bundle, examples, samples=2)
    objective.complete(bundle.model, batch, 0)["scst/rewarded"]()
    again = pickle.loads(pickle.dumps(objective))
    np.testing.assert_array_equal(
        again.complete(bundle.model, batch, 0)["scst/rewarded"]()[0],
        objective.complete(bundle.model, batch, 0)["scst/rewarded"]()[0],
    )


def test_a_frozen_backbone_sees_the_images_once_a_step_and_gives_the_same_bits(tmp_path, monkeypatch):
    """Generation, the starting model and the second pass share what the backbone makes of an image."""
    found = []
    for shared in (True, False):
        bundle, examples = make_bundle(), make_examples()
        freeze(bundle.model, ["visual"])
        objective = objective_for(bundle, examples, tmp_path, samples=2, kl_weight=0.1)
        seen = []
        bundle.model.encoder.embed_images.conv1.register_forward_hook(lambda *_, seen=seen: seen.append(1))
        objective.starting_model.encoder.embed_images.conv1.register_forward_hook(lambda *_, seen=seen: seen.append(1))
        if not shared:
            monkeypatch.setattr(type(bundle.model), "with_frozen_features", lambda _, batch: batch)
        updater, batch = updater_of(bundle, objective), make_batch(bundle, examples)
        logs = [updater([batch], step) for step in range(2)]
        assert len(seen) == (2 if shared else 6)
        found.append((logs, {n: p.detach().clone() for n, p in bundle.model.named_parameters()}))
    assert found[0][0] == found[1][0]
    assert all(torch.equal(found[0][1][name], found[1][1][name]) for name in found[1][1])


def test_the_starting_model_is_written_and_comes_back(bundle, examples, batch, tmp_path):
    objective = objective_for(bundle, examples, tmp_path, samples=2, kl_weight=0.1)
    other = make_bundle()
    with torch.no_grad():
        other.model.output_embedding.mul_(1.5)
    again = SCST(samples=2, kl_weight=0.1)
    again.prepare(examples, other, tmp_path)
    again.begin(other, tmp_path, resumed=True)
    start, back = objective.starting_model.state_dict(), again.starting_model.state_dict()
    assert start.keys() == back.keys() and all(torch.equal(start[name], back[name]) for name in start)
    assert not again.starting_model.training and not any(p.requires_grad for p in again.starting_model.parameters())
    with pytest.raises(UsageError, match="expected in .*elsewhere.starting_model.*without --resume"):
        again.begin(other, tmp_path / "elsewhere", resumed=True)


def test_without_a_divergence_no_starting_model_is_written(bundle, examples, tmp_path):
    assert objective_for(bundle, examples, tmp_path).starting_model is None and not list(tmp_path.iterdir())


def test_a_rewarded_letter_becomes_likelier(bundle, examples, batch):
    """Some steps with a reward that counts a letter make the model write it."""

    @REWARDS.register("counts_o")
    def counts_o():
        return lambda candidates, *_: np.array([float(text.count("o")) for text in candidates])

    try:
        arguments = {"samples": 16, "sample": True, "rewards": [{"type": "counts_o"}], "max_length": 4}
        objective = objective_for(bundle, examples, **arguments)
        updater = updater_of(bundle, objective)
        rewards = [updater([batch], step)["reward"] for step in range(25)]
    finally:
        del REWARDS._added["counts_o"]
    assert np.mean(rewards[-5:]) > np.mean(rewards[:5]) + 0.5


def test_registry_finds_it_and_names_its_keys():
    assert OBJECTIVES.get("scst") is SCST
    with pytest.raises(UsageError, match="did you mean 'baseline'"):
        OBJECTIVES.build({"type": "scst", "baselin": "mean"})
    with pytest.raises(UsageError, match="did you mean 'leave_one_out'"):
        OBJECTIVES.build({"type": "scst", "baseline": "leave_on_out"})


TWO_PROCESSES = """
import sys
from pathlib import Path
from tests.objectives.test_scst import *
from ofakit.processes import join_processes

processes = join_processes("cpu")
found = updater_gradients(processes, [half(processes.rank)])
if processes.is_main:
    torch.save(found, Path(sys.argv[1]) / "two.pt")
"""


def double_batch():
    bundle = make_bundle()
    bundle.model.double().train()
    batch = make_batch(bundle, make_examples())
    return bundle, given(bundle, {**batch, "patch_images": batch["patch_images"].double()})


def half(rank):
    """One image for the first process and three for the second, whose tokens are many more."""
    _, batch = double_batch()
    cut = (0, 1, 4)[rank : rank + 2]
    captions = slice(*(3 * c for c in cut))
    rewarded = rewards_of(batch.pop("scst/rewarded")()[0][captions])
    parts = {n: value[captions if n.startswith("scst/") else slice(*cut)] for n, value in batch.items()}
    return {**parts, "scst/rewarded": rewarded}


def updater_gradients(processes, batches):
    """The gradients just before the optimizer uses them, with the hypotheses given."""
    bundle, _ = double_batch()
    objective = SCST(baseline="mean")
    objective.complete = lambda *_: {}
    return update_gradients(plain_updater(bundle.model, {"scst": objective}, [1.0], processes), batches, 0)


def test_two_gloo_processes_give_the_gradient_of_the_joined_batch(tmp_path):
    run_two(TWO_PROCESSES, tmp_path)
    two = torch.load(tmp_path / "two.pt", weights_only=True)
    one = updater_gradients(ONE, [double_batch()[1]])
    assert len(one) > 50 and sum(g.abs().sum() for g in one.values()) > 0
    for name, gradient in one.items():
        torch.testing.assert_close(two[name], gradient, atol=1e-12, rtol=1e-9)
