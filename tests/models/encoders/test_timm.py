"""Backbones of timm."""

from __future__ import annotations

import pytest
import timm
import torch
from ofakit.config.component import Component
from ofakit.errors import UsageError
from ofakit.models.encoders.base import make_encoder
from ofakit.models.reading import Reading
from safetensors.torch import save_file

from tests.models.encoders.kinds import SMALL_TIMM, items, made


def encoder_of(**keys):
    return make_encoder(Component(**{**SMALL_TIMM, **keys}), Reading(image_size=32)).eval()


def test_average_is_the_backbones_own_pooling(tmp_path):
    encoder, inputs = made("timm", tmp_path)
    batch = inputs.collate(inputs.samples(items()[:3]))
    with torch.no_grad():
        own = encoder.backbone(encoder.pixels(batch["images"]))
        torch.testing.assert_close(encoder.embed(batch, ("image",)), own)


def test_a_grid_tells_images_apart_by_where_things_are():
    encoder = encoder_of(pooling="grid", grid=[1, 2], image_size=64)
    image = torch.zeros(1, 3, 64, 64, dtype=torch.uint8)
    image[:, :, :, :32] = 255
    there = torch.ones(1, dtype=torch.bool)
    with torch.no_grad():
        found = encoder.embed({"images": image, "image_mask": there}, ("image",))
        half = found.shape[1] // 2
        assert half == encoder.backbone.num_features and not torch.allclose(found[:, ::2], found[:, 1::2], atol=1e-3)


def test_classes_are_the_probabilities_of_the_classifier(tmp_path):
    torch.manual_seed(3)
    donor = timm.create_model("test_resnet").eval()
    save_file(donor.state_dict(), tmp_path / "weights.safetensors")
    encoder = encoder_of(pooling="classes", weights=str(tmp_path / "weights.safetensors"))
    images = torch.randint(0, 256, (2, 3, 32, 32), generator=torch.Generator().manual_seed(1)).byte()
    with torch.no_grad():
        found = encoder.embed({"images": images, "image_mask": torch.tensor([True, False])}, ("image",))
        expected = donor(encoder.pixels(images)).softmax(-1)
    torch.testing.assert_close(found, torch.stack([expected[0], torch.zeros(1000)]))


def test_a_transformer_has_a_token_to_pool(tmp_path):
    encoder = encoder_of(name="test_vit", options={"img_size": 32})
    images = torch.zeros(2, 3, 32, 32, dtype=torch.uint8)
    with torch.no_grad():
        found = encoder.embed({"images": images, "image_mask": torch.tensor([True, False])}, ("image",))
    assert found.shape == (2, encoder.backbone.num_features) and found[0].any() and not found[1].any()
    with pytest.raises(UsageError, match="the pooling 'grid' needs a map of at least 2 x 2, found 5 x 64"):
        encoder_of(name="test_vit", options={"img_size": 32}, pooling="grid")


def test_a_map_smaller_than_the_grid_is_refused():
    with pytest.raises(UsageError, match="needs a map of at least 2 x 2, found 96 x 1 x 1"):
        encoder_of(pooling="grid")


def test_weights_of_a_file_are_taken_and_those_of_its_classifier_left(tmp_path):
    torch.manual_seed(3)
    donor = timm.create_model("test_resnet")
    save_file(donor.state_dict(), tmp_path / "weights.safetensors")
    encoder = encoder_of(pretrained=True, weights=str(tmp_path / "weights.safetensors"))  # the hub is not asked
    own = encoder.backbone.state_dict()
    assert own and all(torch.equal(value, donor.state_dict()[name]) for name, value in own.items())
    assert encoder.settings.weights is None


def test_kept_features_are_those_of_the_backbone_which_does_not_learn(tmp_path):
    torch.manual_seed(0)
    plain = encoder_of(projection=8)
    torch.manual_seed(0)
    kept = encoder_of(projection=8, feature_store=str(tmp_path)).train()
    images = torch.randint(0, 256, (3, 3, 32, 32), generator=torch.Generator().manual_seed(1)).byte()
    batch = {"images": images, "image_mask": torch.tensor([True, True, False])}
    for _ in range(2):
        found = kept.embed(batch, ("image",))
        torch.testing.assert_close(found, plain.embed(batch, ("image",)), atol=1e-5, rtol=1e-5)
    found.sum().backward()
    assert {name for name, value in kept.named_parameters() if value.grad is not None} == {"head.layers.0.weight"}
    assert not kept.backbone.training and kept.settings.feature_store is None and len(list(tmp_path.iterdir())) == 1
    with pytest.raises(UsageError, match="'attended_grid' is trained, so its features cannot be cached"):
        encoder_of(pooling="attended_grid", grid=[1, 1], feature_store=str(tmp_path))


def test_what_does_not_fit_is_refused(tmp_path):
    with pytest.raises(UsageError, match="timm has no model 'resnet_18': did you mean 'resnet"):
        encoder_of(name="resnet_18")
    with pytest.raises(UsageError, match="does not accept {'depthh': 3}"):
        encoder_of(options={"depthh": 3})
    save_file({"conv1.weight": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(UsageError, match="does not belong to this backbone: it lacks "):
        encoder_of(weights=str(tmp_path / "other.safetensors"))
    wide = {name: torch.zeros(3, *value.shape) for name, value in timm.create_model("test_resnet").state_dict().items()}
    save_file(wide, tmp_path / "wide.safetensors")
    with pytest.raises(UsageError, match="belongs to a backbone of other sizes"):
        encoder_of(weights=str(tmp_path / "wide.safetensors"))


def test_images_are_normalised_as_timm_says_unless_told_otherwise():
    own = timm.create_model("test_resnet").pretrained_cfg["mean"]
    assert encoder_of().pixels.mean.flatten().tolist() == pytest.approx(own)
    assert encoder_of(mean_std="imagenet").pixels.mean.flatten().tolist() == pytest.approx([0.485, 0.456, 0.406])
