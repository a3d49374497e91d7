"""Features of a network that does not learn: computed once an image, for each weights anew."""

from __future__ import annotations

import copy

import pytest
import torch
from ofakit.data.feature_store import FeatureStore
from ofakit.models import frozen_features
from ofakit.models.frozen_features import FrozenFeatures
from torch import nn

IMAGES = torch.randint(0, 256, (4, 3, 8, 8), generator=torch.Generator().manual_seed(0)).byte()


class Network(nn.Module):
    """A linear layer that counts what it computes."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(1)
        self.layer = nn.Linear(3 * 8 * 8, 5)
        self.computed = 0

    def features(self, images):
        self.computed += len(images)
        return self.layer(images.flatten(1).float() / 255)


def kept(folder, network, images, name="net"):
    return FrozenFeatures(folder, name, 5)(network, images, network.features)


def test_they_equal_those_of_the_network_and_are_computed_once(tmp_path):
    network = Network()
    expected = torch.cat([network.features(image[None]) for image in IMAGES]).detach()
    network.computed = 0
    features = FrozenFeatures(tmp_path, "net", 5)
    assert torch.equal(features(network, IMAGES[:3], network.features), expected[:3])
    found = features(network, IMAGES[[3, 1, 3, 0]], network.features)
    assert torch.equal(found, expected[[3, 1, 3, 0]]) and network.computed == 4 and not found.requires_grad
    assert torch.equal(kept(tmp_path, Network(), IMAGES.flip(3).flip(3)), expected) and network.computed == 4


def test_weights_that_changed_and_other_settings_have_their_own(tmp_path):
    network, features = Network(), FrozenFeatures(tmp_path, "net", 5)
    before = features(network, IMAGES, network.features)
    with torch.no_grad():
        network.layer.bias.add_(1)
    torch.testing.assert_close(features(network, IMAGES, network.features), before + 1)
    kept(tmp_path, network, IMAGES, "net grid")
    assert network.computed == 12
    network.load_state_dict(Network().state_dict())
    assert torch.equal(features(network, IMAGES, network.features), before) and network.computed == 12


def test_they_are_of_single_precision_wherever_they_are_computed(tmp_path):
    network = Network()
    with torch.autocast("cpu", torch.bfloat16):
        found = kept(tmp_path, network, IMAGES)
    assert torch.equal(found, torch.cat([network.features(image[None]) for image in IMAGES]).detach())


def test_maps_keep_their_shape_and_each_shape_and_type_has_its_own(tmp_path):
    network = Network()
    maps = FrozenFeatures(tmp_path, "net", (1, 5))
    found = maps(network, IMAGES, lambda images: network.features(images)[:, None])
    assert torch.equal(found[:, 0], kept(tmp_path, network, IMAGES)) and network.computed == 8
    half = FrozenFeatures(tmp_path, "net", 5, "float16")(network, IMAGES, network.features)
    assert torch.equal(half, found[:, 0].half().float()) and not torch.equal(half, found[:, 0])
    assert len(list(tmp_path.iterdir())) == 3


def test_a_copy_of_a_network_does_not_read_the_store_again(tmp_path, monkeypatch):
    network, features = Network(), FrozenFeatures(tmp_path, "net", 5)
    expected = features(network, IMAGES, network.features)
    twin, copied = copy.deepcopy((network, features))
    monkeypatch.setattr(FeatureStore, "__init__", lambda *_: pytest.fail("the store was opened again"))
    assert torch.equal(copied(twin, IMAGES, twin.features), expected) and twin.computed == network.computed


def test_an_accelerator_keeps_them_beside_the_store_until_weights_change(tmp_path, monkeypatch):
    monkeypatch.setattr(frozen_features, "_is_accelerator", lambda device: True)
    network, features = Network(), FrozenFeatures(tmp_path, "net", 5, "float16", memory=1.0)
    expected = network.features(IMAGES).detach().half().float()
    torch.testing.assert_close(features(network, IMAGES, network.features), expected, atol=1e-3, rtol=1e-3)
    asked = []
    rows = FeatureStore.rows
    monkeypatch.setattr(FeatureStore, "rows", lambda *args: asked.append(1) or rows(*args))
    before = features(network, IMAGES, network.features)
    assert asked == [] and before.dtype == torch.float32
    twin, copied = copy.deepcopy((network, features))
    with torch.no_grad():
        twin.layer.bias.add_(1)
    torch.testing.assert_close(copied(twin, IMAGES, twin.features), before + 1, atol=1e-3, rtol=1e-3)
    assert torch.equal(features(network, IMAGES, network.features), before) and asked == [1]
