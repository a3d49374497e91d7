"""Batch norms over the joined batch of all processes, in networks of timm."""

from __future__ import annotations

import pytest
import timm
import torch
from ofakit.errors import UsageError
from ofakit.models.batch_norm import JoinedBatchNorm2d, JoinedBatchNormAct2d, batch_norms, with_joined_batch_norms
from torch import nn

from tests.two_processes import run_two

NAMES = ["test_resnet", "test_efficientnet"]
IMAGES = torch.randn(6, 3, 32, 32, generator=torch.Generator().manual_seed(1)).double() * 2 + 1

SCRIPT = """
import sys, torch, torch.distributed as dist
from pathlib import Path
from tests.models.test_batch_norm import *
from ofakit.processes import join_processes

folder = Path(sys.argv[1])
processes = join_processes("cpu")
for name in NAMES:
    network = network_of(name).train()
    network.forward_features(IMAGES[:2] if processes.is_main else IMAGES[2:]).square().sum().backward()
    for parameter in network.parameters():
        dist.all_reduce(parameter.grad)
    if processes.is_main:
        gradients = {n: p.grad for n, p in network.named_parameters()}
        torch.save((gradients, dict(network.named_buffers())), folder / f"{name}.pt")
"""


def network_of(name):
    torch.manual_seed(0)
    return with_joined_batch_norms(timm.create_model(name, num_classes=0)).double()


@pytest.mark.parametrize("name", NAMES)
def test_names_weights_and_numbers_stay(name):
    torch.manual_seed(0)
    plain, joined = timm.create_model(name, num_classes=0).double(), network_of(name)
    assert list(plain.state_dict()) == list(joined.state_dict())
    kinds = {type(norm) for norm in batch_norms(joined)}
    assert kinds and kinds <= {JoinedBatchNorm2d, JoinedBatchNormAct2d}
    for mode in (False, True):
        plain.train(mode), joined.train(mode)
        assert torch.equal(plain(IMAGES), joined(IMAGES))
    for (_, expected), found in zip(plain.named_buffers(), joined.buffers(), strict=True):
        assert torch.equal(expected, found)


def test_two_processes_give_gradient_and_statistics_of_the_joined_batch(tmp_path):
    run_two(SCRIPT, tmp_path)
    for name in NAMES:
        network = network_of(name).train()
        network.forward_features(IMAGES).square().sum().backward()
        gradients, buffers = torch.load(tmp_path / f"{name}.pt")
        for parameter, weight in network.named_parameters():
            torch.testing.assert_close(gradients[parameter], weight.grad, rtol=1e-6, atol=1e-7, msg=parameter)
        for buffer, value in network.named_buffers():
            torch.testing.assert_close(buffers[buffer], value, rtol=1e-8, atol=1e-8, msg=buffer)


def test_what_keeps_a_plain_mean_and_what_is_no_image_norm_stay():
    network = with_joined_batch_norms(nn.Sequential(nn.BatchNorm2d(3, momentum=None), nn.BatchNorm1d(3)))
    assert [type(module) for module in network] == [nn.BatchNorm2d, nn.BatchNorm1d]


@pytest.mark.parametrize(
    "kind", [JoinedBatchNorm2d, lambda width: JoinedBatchNormAct2d(timm.layers.BatchNormAct2d(width))]
)
def test_one_value_has_no_statistics_in_training(kind):
    norm = kind(3)
    with pytest.raises(UsageError, match="a single value.*batch_size_per_gpu.*patch_image_size"):
        norm.train()(torch.zeros(1, 3, 1, 1))
    assert norm.train()(torch.zeros(1, 3, 1, 2)).shape == (1, 3, 1, 2)
    assert norm.eval()(torch.zeros(1, 3, 1, 1)).shape == (1, 3, 1, 1)
