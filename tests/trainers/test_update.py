"""The update follows the stock code's training, gives the joined batch's gradient, and survives a loss of NaN."""

from __future__ import annotations

import json
import math

import pytest
import torch
from ofakit.config.schema import OptimizerSection, SchedulerSection
from ofakit.errors import UsageError
from ofakit.models.ofa import OFAConfig, OFAModel, freeze
from ofakit.objectives.cross_entropy import CrossEntropy
from ofakit.processes import Processes
from ofakit.trainers.optimization import build_optimizer, build_scheduler
from ofakit.trainers.update import LossNotFinite, Updater, WeightedObjectives
from safetensors.torch import load_file

from tests.objectives.conftest import batch_with_views, make_bundle, make_examples, prepared
from tests.two_processes import ONE, run_two, update_gradients


def golden_model(shared, case):
    folder = shared / "golden" / "ofa" / case
    expected = json.loads((folder / "expected.json").read_text())
    model = OFAModel(OFAConfig(**expected["config"]))
    weights = {
        k: v.float() if v.is_floating_point() else v for k, v in load_file(folder / "weights_fp16.safetensors").items()
    }
    missing, unexpected = model.load_stock_state_dict(weights)
    assert not missing and not unexpected
    return model


def updater_of(model, objective=None, precision="fp32", lr=2e-3, steps=20, max_bad_steps=3):
    optimizer = build_optimizer(model, OptimizerSection(lr=lr, weight_decay=0.01))
    scheduler = build_scheduler(
        optimizer, SchedulerSection(name="polynomial_decay", warmup_steps=2, lr_end=1e-5), steps
    )
    module = WeightedObjectives(
        model, {"cross_entropy": objective or CrossEntropy(label_smoothing=0.1)}, [1.0], precision
    )
    return Updater(module, optimizer, scheduler, ONE, 1.0, max_bad_steps)


@pytest.mark.parametrize("case", ["training_plain", "training_drop_worst"])
def test_twenty_steps_follow_the_stock_training(shared, case):
    folder = shared / "golden" / "ofa_training" / case
    expected = json.loads((folder / "expected.json").read_text())
    stored = load_file(folder / "batches.safetensors")
    model = golden_model(shared, expected["start_from"]).train()
    updater = updater_of(model, CrossEntropy(**expected["criterion"]))
    for step in range(expected["schedule"]["steps"]):
        names = ("input_ids", "decoder_input_ids", "target", "patch_images")
        batch = {name: stored[f"{name}.{step % 4}"] for name in names}
        batch["patch_images"] = batch["patch_images"].float()
        batch["patch_masks"] = torch.ones(len(batch["input_ids"]), dtype=torch.bool)
        logs = updater([batch], step)
        assert logs["loss"] == pytest.approx(expected["loss"][step], abs=1e-3)
        assert logs["nll"] == pytest.approx(expected["nll"][step], abs=1e-3)
        assert logs["grad_norm"] == pytest.approx(expected["grad_norm_before_clip"][step], rel=5e-3)
        assert logs["lr"] == pytest.approx(expected["lr"][step], rel=1e-9)


def golden_batch(shared, case):
    batch = load_file(shared / "golden" / "ofa" / case / "inputs.safetensors")
    return batch | {"patch_images": batch["patch_images"].float()}


def slices(batch, *bounds):
    return [{name: value[a:b] for name, value in batch.items()} for a, b in zip(bounds, bounds[1:], strict=False)]


def test_accumulated_batches_give_the_gradient_of_the_joined_batch(shared):
    batch = golden_batch(shared, "image_text")
    joined = update_gradients(updater_of(golden_model(shared, "image_text").eval()), [batch], 1)
    parts = update_gradients(updater_of(golden_model(shared, "image_text").eval()), slices(batch, 0, 1, 4), 1)
    assert joined.keys() == parts.keys() and len(joined) > 50
    for name, gradient in joined.items():
        torch.testing.assert_close(parts[name], gradient, atol=1e-6, rtol=1e-4)


TWO_PROCESSES = """
import sys
from pathlib import Path
from tests.trainers.test_update import *
from ofakit.processes import join_processes

folder, shared = map(Path, sys.argv[1:])
processes = join_processes("cpu")
for case, drop_worst, precision in SPLITS:
    model, batch = model_and_batch(shared, case, precision)
    cuts = (0, 1, len(batch["input_ids"]))
    updater = joined_updater(model, drop_worst, processes)
    found = update_gradients(updater, [slices(batch, *cuts)[processes.rank]], 1)
    if processes.is_main:
        torch.save({"gradients": found, "buffers": dict(model.named_buffers())}, folder / f"{case}_{precision}.pt")
"""
SPLITS = [
    (case, drop_worst, precision)
    for case, drop_worst in (("image_text", 0.0), ("mixed_missing_image", 0.2))
    for precision in ("double", "single")
]


def model_and_batch(shared, case, precision):
    """In double precision everything; in single, the backbone frozen.

    In single precision a sum in another order may open or close a ReLU of the backbone, and batch normalisation
    enlarges that: there the 1e-6 of one order and another can only be asked of what lies behind it.
    """
    model, batch = golden_model(shared, case), golden_batch(shared, case)
    if precision == "double":
        model.double()
        batch = {name: value.double() if value.is_floating_point() else value for name, value in batch.items()}
    else:
        freeze(model, ["visual"])
    return model.train(), batch


def joined_updater(model, drop_worst, processes):
    objective = CrossEntropy(label_smoothing=0.1, drop_worst_ratio=drop_worst, drop_worst_after=0)
    plain = updater_of(model, objective)
    module = WeightedObjectives(model, {"cross_entropy": objective}, [1.0], "fp32")
    return Updater(module, plain.optimizer, plain.scheduler, processes, None, 3)


@pytest.fixture(scope="module")
def of_two_processes(shared, tmp_path_factory):
    """A folder with the gradients that two gloo processes found, each with its part of the batch."""
    folder = tmp_path_factory.mktemp("two")
    run_two(TWO_PROCESSES, folder, shared)
    return folder


@pytest.mark.parametrize("case, drop_worst, precision", SPLITS)
def test_two_gloo_processes_give_the_gradient_of_the_joined_batch(
    shared, of_two_processes, case, drop_worst, precision
):
    two = torch.load(of_two_processes / f"{case}_{precision}.pt", weights_only=True)
    model, batch = model_and_batch(shared, case, precision)
    one = update_gradients(joined_updater(model, drop_worst, ONE), [batch], 1)
    assert len(one) > 50
    for name, gradient in one.items():
        difference = (two["gradients"][name] - gradient).abs().max().item()
        assert difference < (1e-12 if precision == "double" else 1e-6), name
    for name, value in model.named_buffers():
        torch.testing.assert_close(two["buffers"][name], value, atol=1e-6, rtol=1e-6)


class Poisoned(CrossEntropy):
    """Gives NaN at chosen steps."""

    bad_steps = range(1, 3)

    def __call__(self, model, batch, normalizer, step):
        loss, logs = super().__call__(model, batch, normalizer, step)
        return (self.poisoned(loss, model), logs) if step in self.bad_steps else (loss, logs)

    def poisoned(self, loss, model):
        return loss * float("nan")


class Exploding(Poisoned):
    """Gives a gradient that is infinite, its loss being finite, at chosen steps."""

    def poisoned(self, loss, model):
        weight = model.decoder.layer_norm.weight
        return loss + (weight - weight.detach()).sum().sqrt()


@pytest.mark.parametrize("objective", [Poisoned, Exploding])
def test_step_without_finite_loss_or_gradient_changes_nothing_and_is_counted(shared, objective):
    model = golden_model(shared, "image_text").train()
    updater = updater_of(model, objective())
    batch = golden_batch(shared, "image_text")
    updater([batch], 0)
    before = {name: value.clone() for name, value in model.state_dict().items() if value.is_floating_point()}
    logs = updater([batch], 1)
    assert (math.isfinite(logs["loss"]), logs["grad_norm"] == math.inf) == (objective is Exploding,) * 2
    for name, value in before.items():
        assert torch.equal(model.state_dict()[name], value), name
    updater([batch], 2)
    updater([batch], 3)
    assert (updater.bad_steps, updater.bad_steps_in_a_row) == (2, 0)
    assert any(not torch.equal(model.state_dict()[name], value) for name, value in before.items())


def test_too_many_bad_steps_in_a_row_stop_the_run(shared):
    updater = updater_of(golden_model(shared, "image_text").train(), Poisoned(), max_bad_steps=2)
    batch = golden_batch(shared, "image_text")
    updater([batch], 0)
    updater([batch], 1)
    with pytest.raises(LossNotFinite, match="2 consecutive steps.*snapshot is intact"):
        updater([batch], 2)


class Number:
    """A number to log that tells when it is read."""

    def __init__(self, told):
        self.told = told

    def __float__(self):
        self.told.append("read")
        return 1.0


class Telling(CrossEntropy):
    """Tells when it is called, and logs a number that tells when it is read."""

    def __call__(self, model, batch, normalizer, step):
        self.told.append("pass")
        loss, logs = super().__call__(model, batch, normalizer, step)
        return loss, {**logs, "number": Number(self.told)}


def test_numbers_are_read_when_all_micro_batches_are_done(shared):
    objective = Telling()
    objective.told = []
    batch = golden_batch(shared, "image_text")
    logs = updater_of(golden_model(shared, "image_text").train(), objective)([batch, batch], 0)
    assert objective.told == ["pass", "pass", "read", "read"]
    assert logs["number"] == 2


class Steep(CrossEntropy):
    """Adds a loss of 0 whose gradient in one weight, in half precision, is `slope` at chosen steps."""

    slope, steep_steps = 0.0, range(1, 3)

    def __call__(self, model, batch, normalizer, step):
        loss, logs = super().__call__(model, batch, normalizer, step)
        weight = model.encoder.layernorm_embedding.weight.half()
        nothing = (weight - weight.detach()).float().sum()
        return loss + nothing * (self.slope if step in self.steep_steps else 0), logs


def test_fp16_skips_what_its_scale_makes_overflow_and_goes_on(shared):
    objective = Steep()
    objective.slope = 1.5  # times 65,536 it is infinite in fp16, times 32,768 it is not
    model = golden_model(shared, "image_text").train()
    updater = updater_of(model, objective, "fp16", max_bad_steps=1)
    batch = golden_batch(shared, "image_text")
    updater([batch], 0)
    before = {name: value.clone() for name, value in model.state_dict().items() if value.is_floating_point()}
    updater([batch], 1)
    assert all(torch.equal(model.state_dict()[name], value) for name, value in before.items())
    assert (updater.bad_steps, updater.bad_steps_in_a_row, updater.scaler.get_scale()) == (1, 0, 2.0**15)
    assert updater([batch], 2)["grad_norm"] > 1.5
    assert updater.bad_steps == 1
    assert any(not torch.equal(model.state_dict()[name], value) for name, value in before.items())


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_a_gradient_that_is_never_finite_stops_the_run(shared, precision):
    objective = Steep()
    objective.slope, objective.steep_steps = 1e30, range(100)
    updater = updater_of(golden_model(shared, "image_text").train(), objective, precision, max_bad_steps=2)
    batch = golden_batch(shared, "image_text")
    limit = 18 if precision == "fp16" else 2  # 65,536 is halved sixteen times before it is 1
    for step in range(limit - 1):
        updater([batch], step)
    with pytest.raises(LossNotFinite, match="the gradient was not finite for 2 consecutive steps"):
        updater([batch], limit - 1)


@pytest.mark.parametrize("name", ["const", "linear", "cosine", "polynomial_decay"])
def test_schedules_warm_up_and_come_down(name):
    optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(2))], lr=1.0)
    scheduler = build_scheduler(optimizer, SchedulerSection(name=name, warmup_proportion=0.1, lr_end=0.1), 100)
    rates = []
    for _ in range(100):
        rates.append(scheduler.get_last_lr()[0])
        optimizer.step()
        scheduler.step()
    assert rates[0] == 0 and rates[10] == pytest.approx(1.0) and max(rates) <= 1.0
    assert rates[5] == pytest.approx(0.5)
    assert rates[-1] == pytest.approx(1.0) if name == "const" else rates[-1] < 0.15


def test_mixed_objectives_add_up_and_share_the_encoder_where_inputs_are_the_same():
    bundle, examples = make_bundle(), make_examples()
    bundle.model.eval()
    mlm = prepared("mlm", bundle, examples)
    batch = batch_with_views(bundle, examples, {"mlm": mlm})
    twice = {"one": CrossEntropy(), "two": CrossEntropy(label_smoothing=0.0), "mlm": mlm}
    module = WeightedObjectives(bundle.model, twice, [1.0, 0.5, 2.0], "fp32")
    runs = []
    handle = bundle.model.encoder.register_forward_pre_hook(lambda *_: runs.append(1))
    total, logs = module(batch, [7.0, 7.0, 5.0], 0)
    handle.remove()
    assert len(runs) == 2
    parts = [objective(bundle.model, batch, n, 0)[0] for objective, n in zip(twice.values(), (7, 7, 5), strict=True)]
    assert total.item() == pytest.approx((parts[0] + 0.5 * parts[1] + 2 * parts[2]).item(), rel=1e-5)
    assert {"one/loss", "two/loss", "mlm/loss", "mlm/nll"} <= set(logs)
    total.backward()
    shared = bundle.model.encoder.layers[0].fc1.weight.grad.clone()
    bundle.model.zero_grad()
    sum(
        w * o(bundle.model, batch, n, 0)[0] for o, w, n in zip(twice.values(), (1, 0.5, 2), (7, 7, 5), strict=True)
    ).backward()
    torch.testing.assert_close(shared, bundle.model.encoder.layers[0].fc1.weight.grad, atol=1e-6, rtol=1e-4)


def test_fp16_on_a_device_without_a_scaler_is_refused():
    module = WeightedObjectives(torch.nn.Linear(1, 1), {}, [], "fp16")
    with pytest.raises(
        UsageError, match="fp16 needs loss scaling, which the device mps does not support; choose bf16 or fp32"
    ):
        Updater(module, None, None, Processes(0, 1, torch.device("mps")), None, 3)
