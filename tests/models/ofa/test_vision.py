"""The visual backbone: stock names, drop path, and batch norms that join the batches of all processes."""

import subprocess
import sys

import pytest
import torch
from ofakit.models.batch_norm import JoinedBatchNorm2d
from ofakit.models.ofa.configuration import RESNET_BLOCKS
from ofakit.models.ofa.vision import build_resnet, visual_features

SCRIPT = """
import sys, torch, torch.distributed as dist
from ofakit.models.batch_norm import JoinedBatchNorm2d
from ofakit.models.ofa.vision import build_resnet, visual_features
rank, folder = int(sys.argv[1]), sys.argv[2]
dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
torch.manual_seed(0)
model = torch.nn.Sequential(torch.nn.Conv2d(3, 5, 3), JoinedBatchNorm2d(5), torch.nn.ReLU(), torch.nn.Conv2d(5, 4, 3))
resnet = build_resnet("resnet18").double()
images = torch.load(f"{folder}/images.pt")[rank].double()
model.double()
(model(images).square().sum() + visual_features(resnet, images).square().mean(0).sum()).backward()
both = torch.nn.ModuleList([model, resnet])
for p in both.parameters():
    dist.all_reduce(p.grad)
if rank == 0:
    torch.save(({n: p.grad for n, p in both.named_parameters()}, dict(both.named_buffers())), f"{folder}/out.pt")
dist.barrier()
"""


def test_two_processes_give_the_gradient_of_the_joined_batch(tmp_path):
    torch.manual_seed(1)
    images = (torch.randn(6, 3, 64, 64) * 2 + 1).double()
    parts = [images[:3], images[3:]]
    torch.save(parts, tmp_path / "images.pt")
    command = [sys.executable, "-c", SCRIPT]
    runs = [subprocess.Popen([*command, str(rank), str(tmp_path)]) for rank in range(2)]
    assert [run.wait(timeout=300) for run in runs] == [0, 0]
    gradients, buffers = torch.load(tmp_path / "out.pt")
    torch.manual_seed(0)
    model = torch.nn.Sequential(
        torch.nn.Conv2d(3, 5, 3), JoinedBatchNorm2d(5), torch.nn.ReLU(), torch.nn.Conv2d(5, 4, 3)
    )
    model.double()
    resnet = build_resnet("resnet18").double()
    features = visual_features(resnet, images).square()
    (model(images).square().sum() + features[:3].mean(0).sum() + features[3:].mean(0).sum()).backward()
    both = torch.nn.ModuleList([model, resnet])
    for name, parameter in both.named_parameters():
        torch.testing.assert_close(gradients[name], parameter.grad, rtol=1e-5, atol=1e-6, msg=name)
    for name, buffer in both.named_buffers():
        torch.testing.assert_close(buffers[name], buffer, rtol=1e-6, atol=1e-6, msg=name)


@pytest.mark.parametrize("name", RESNET_BLOCKS)
def test_three_stages_of_bottlenecks(name):
    resnet = build_resnet(name).eval()
    with torch.no_grad():
        assert visual_features(resnet, torch.randn(1, 3, 33, 48)).shape == (1, 1024, 3, 3)
    assert [len(stage) for stage in (resnet.layer1, resnet.layer2, resnet.layer3)] == list(RESNET_BLOCKS[name])
    assert not any(key.startswith(("layer4", "fc")) for key in resnet.state_dict())


def test_drop_path_grows_from_nothing_within_each_stage():
    resnet = build_resnet("resnet50", 0.3)
    rates = [getattr(block.drop_path, "drop_prob", 0.0) for block in resnet.layer2]
    assert rates == pytest.approx([0.0, 0.1, 0.2, 0.3])
    resnet.train()
    images = torch.randn(2, 3, 32, 32)
    assert not torch.equal(visual_features(resnet, images), visual_features(resnet, images))


def test_layouts_agree():
    torch.manual_seed(0)
    resnet = build_resnet("resnet18").double().eval()
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        half = visual_features(resnet, images.double())
        plain = visual_features(resnet.float(), images)
    torch.testing.assert_close(plain.double(), half, rtol=1e-3, atol=1e-3)
