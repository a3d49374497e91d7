"""What a step takes is counted from its parts, and lies near what the process was seen to take."""

from __future__ import annotations

import pytest
import torch
from ofakit.trainers.dry_run import dry_run
from ofakit.trainers.memory_estimate import KeptForBackward, estimate_memory
from torch import nn
from torch.profiler import ProfilerActivity, profile

from tests.trainers.conftest import trained


def squared_sum(model):
    return lambda samples: model(torch.stack(list(samples))).square().sum().backward()


def test_the_parts_of_a_network_that_can_be_counted_by_hand():
    model = nn.Sequential(nn.Linear(100, 50), nn.ReLU(), nn.Linear(50, 10))
    model[0].requires_grad_(False)
    samples = [torch.randn(100) for _ in range(4)]
    found = estimate_memory(model, squared_sum(model), samples, batch_size=8)
    all_weights, learning = 100 * 50 + 50 + 50 * 10 + 10, 50 * 10 + 10
    assert (found.weights, found.gradients, found.optimizer) == (4 * all_weights, 4 * learning, 8 * learning)
    assert found.activations == 8 * 4 * (50 + 10)  # what the second layer reads, and what is squared
    assert found.total == found.weights + found.gradients + found.optimizer + found.activations
    assert all(parameter.grad is None for parameter in model.parameters())


def test_one_example_and_a_smaller_batch_than_was_counted():
    model = nn.Linear(100, 10)
    one = estimate_memory(model, squared_sum(model), [torch.randn(100)], batch_size=3)
    four = estimate_memory(model, squared_sum(model), [torch.randn(100) for _ in range(4)], batch_size=3)
    assert one.activations == four.activations == 3 * 4 * (100 + 10)


def test_what_is_let_go_of_during_the_backward_pass_is_no_longer_kept():
    layer = nn.Linear(8, 8)
    count = KeptForBackward(layer)
    with count.counting():
        for _ in range(3):
            layer(torch.randn(5, 8)).exp().sum().backward()
    assert count.peak == 2 * 5 * 8 * 4


def peak_of(backward):
    """The most that the CPU's allocator gave out at one time, by PyTorch's profiler, above what there was before."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as found:
        backward()
    now = peak = 0
    for event in found.profiler.kineto_results.events():
        if event.name() == "[memory]":
            now += event.nbytes()
            peak = max(peak, now)
    return peak


@pytest.mark.parametrize(("batch_size", "recompute"), [(8, False), (32, False), (32, True)])
def test_the_estimate_lies_near_a_measured_step(experiment, batch_size, recompute):
    train = {"max_steps": 1, "gradient_accumulation": 1, "dataloader": {"batch_size_per_gpu": batch_size}}
    config = experiment(train={**train, "recompute": recompute}, model={"config": {"dropout": 0.0}})
    memory = dry_run(config, "cpu")["memory"]
    trainer = trained(config)
    batch = next(iter(trainer.loading.steps(0, 0)))[0]
    moved = trainer.task.move(trainer.bundle, batch, trainer.device)
    trainer.model.train()
    measured = peak_of(lambda: trainer.updater.gradients([moved], 0))
    expected = memory["activations_bytes"] + memory["gradients_bytes"]
    assert (0.6 if recompute else 0.75) * measured < expected < 1.35 * measured  # one layer's own is not counted
