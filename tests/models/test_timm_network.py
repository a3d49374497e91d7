"""Networks of timm by name: weights of a file or a hub, and normalisation."""

from __future__ import annotations

import pytest
import timm
import torch
from ofakit.config.backbone import TimmSection
from ofakit.errors import UsageError
from ofakit.models.batch_norm import JoinedBatchNorm2d, batch_norms
from ofakit.models.timm_network import load_weights, pixel_norm, timm_network
from safetensors.torch import save_file


def section(**keys):
    return TimmSection(**{"name": "test_resnet", **keys})


def test_a_network_has_joined_batch_norms_and_a_classifier_on_request():
    assert all(isinstance(norm, JoinedBatchNorm2d) for norm in batch_norms(timm_network(section())))
    names = set(timm_network(section(), classifier=True).state_dict()) - set(timm_network(section()).state_dict())
    assert names == {"fc.weight", "fc.bias"}


@pytest.mark.parametrize("suffix", ["safetensors", "pth"])
def test_weights_of_a_file_are_taken_and_those_of_its_classifier_left(tmp_path, suffix):
    torch.manual_seed(3)
    donor = timm.create_model("test_resnet").state_dict()
    path = tmp_path / f"weights.{suffix}"
    save_file(donor, path) if suffix == "safetensors" else torch.save(donor, path)
    network = timm_network(section())
    load_weights(network, section(weights=str(path), pretrained=True))  # the hub is not asked
    assert all(torch.equal(value, donor[name]) for name, value in network.state_dict().items())


def test_without_weights_a_network_stays_as_it_is():
    network = timm_network(section())
    before = {name: value.clone() for name, value in network.state_dict().items()}
    load_weights(network, section())
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


@pytest.mark.parametrize(
    ("keys", "asked"),
    [
        ({"pretrained": True}, {"pretrained": True}),
        ({"weights": "hub:owner/net"}, {"pretrained": True, "pretrained_cfg_overlay": {"hf_hub_id": "owner/net"}}),
        ({"weights": "hf://owner/net"}, {"pretrained": True, "pretrained_cfg_overlay": {"hf_hub_id": "owner/net"}}),
    ],
)
def test_weights_of_a_hub_are_timms_to_fetch(monkeypatch, keys, asked):
    torch.manual_seed(3)
    donor, found = timm.create_model("test_resnet", num_classes=0), []
    network = timm_network(section())
    monkeypatch.setattr(timm, "create_model", lambda name, **given: found.append(given) or donor)
    load_weights(network, section(**keys))
    assert found == [{**asked, "num_classes": 0}]
    assert all(torch.equal(value, donor.state_dict()[name]) for name, value in network.state_dict().items())


def test_a_hub_that_gives_nothing_is_told(monkeypatch):
    def refused(name, **given):
        raise OSError("no connection\nmore")

    network = timm_network(section())
    monkeypatch.setattr(timm, "create_model", refused)
    with pytest.raises(
        UsageError, match="the hub has no weights for hub:owner/net: no connection. Name a file of weights"
    ):
        load_weights(network, section(weights="hub:owner/net"))


def test_images_are_normalised_as_timm_says_unless_told_otherwise():
    network = timm_network(section())
    own = network.pretrained_cfg["mean"]
    assert pixel_norm(section(), network).mean.flatten().tolist() == pytest.approx(own)
    assert pixel_norm(section(mean_std="half"), network).mean.flatten().tolist() == [0.5, 0.5, 0.5]


def test_what_does_not_fit_is_refused(tmp_path):
    with pytest.raises(UsageError, match="timm has no model 'resnet_18': did you mean 'resnet"):
        timm_network(section(name="resnet_18"))
    with pytest.raises(UsageError, match="does not accept {'depthh': 3}"):
        timm_network(section(options={"depthh": 3}))
    with pytest.raises(UsageError, match="there is no checkpoint .*lite0.safetensors"):
        load_weights(timm_network(section()), section(weights="folder/lite0.safetensors"))
    save_file({"conv1.weight": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(UsageError, match="does not belong to this backbone: it lacks "):
        load_weights(timm_network(section()), section(weights=str(tmp_path / "other.safetensors")))
    wide = {name: torch.zeros(3, *value.shape) for name, value in timm.create_model("test_resnet").state_dict().items()}
    save_file(wide, tmp_path / "wide.safetensors")
    with pytest.raises(UsageError, match="belongs to a backbone of other sizes"):
        load_weights(timm_network(section()), section(weights=str(tmp_path / "wide.safetensors")))


def test_weights_of_imagenet_are_loaded_whole(pretrained):
    lite = section(name="tf_efficientnet_lite0", weights=str(pretrained / "tf_efficientnet_lite0.safetensors"))
    network = timm_network(lite, classifier=True)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    load_weights(network, lite, classifier=True)
    learned = [name for name in before if not torch.equal(before[name], network.state_dict()[name])]
    assert {name for name in before if name.endswith("weight")} <= set(learned)
    assert pixel_norm(lite, network).mean.flatten().tolist() == [0.5, 0.5, 0.5]
