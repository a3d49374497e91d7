"""Regions by frozen networks: the grid of CLIP's ResNets as the original makes it, patches, maps of timm networks."""

from __future__ import annotations

import pytest
import timm
import torch
from ofakit.config.load import checked
from ofakit.config.regions import RegionsSection
from ofakit.errors import UsageError
from ofakit.models.region_network import RegionNetwork, regions_of_map
from ofakit.models.timm_network import _as_timm_names
from safetensors.torch import load_file, save_file
from timm.models.byobnet import ByoBlockCfg, ByobNet, ByoModelCfg

IMAGES = torch.randint(0, 256, (2, 3, 64, 64), generator=torch.Generator().manual_seed(0)).byte()


def section(**keys):
    return checked(RegionsSection, {"image_size": 64, **keys})


def timm_keys(**keys):
    return {"name": "resnet10t", "options": {"channels": [8, 16, 24, 32]}, **keys}


def test_the_grid_of_clips_resnet_is_the_originals(shared):
    folder = shared / "golden" / "vl" / "clip_resnet_grid"
    weights = {f"visual.{k}": v.float() for k, v in load_file(folder / "weights_fp16.safetensors").items()}
    blocks = tuple(
        ByoBlockCfg(type="bottle", d=d, c=c, s=s, br=0.25)
        for d, c, s in ((1, 32, 1), (2, 64, 2), (1, 128, 2), (1, 256, 2))
    )
    network = ByobNet(
        ByoModelCfg(
            blocks=blocks, downsample="avg", stem_type="", stem_pool="avg2", stem_chs=(4, 4, 8), aa_layer="avg",
            head_type="",
        ),
        num_classes=0,
    ).eval()  # fmt: skip
    own = network.state_dict()
    renamed = _as_timm_names(network, weights)
    network.load_state_dict({name: renamed[name] for name in own})
    pixels = load_file(folder / "inputs.safetensors")["pixels"].float()
    expected = load_file(folder / "outputs.safetensors")
    with torch.no_grad():
        found = network.forward_features(pixels)
    torch.testing.assert_close(found, expected["layer4"], atol=3e-5, rtol=0)
    regions = regions_of_map(network, found)
    torch.testing.assert_close(regions, expected["grid_features"], atol=3e-5, rtol=0)


def test_the_map_of_a_timm_network_is_read_row_by_row():
    network = RegionNetwork(section(network=timm_keys()), seed=3)
    assert (network.count, network.width) == (4, 32)
    expected = network.network.forward_features(network.pixels(IMAGES))
    found = network(IMAGES)
    torch.testing.assert_close(found[:, 1], expected[:, :, 0, 1])
    torch.testing.assert_close(found[:, 2], expected[:, :, 1, 0])
    assert torch.equal(network(IMAGES[1:]), found[1:]) and not found.requires_grad
    averaged = RegionNetwork(section(network=timm_keys(), grid=1), seed=3)(IMAGES)
    torch.testing.assert_close(averaged[:, 0], found.mean(1))
    pooled = RegionNetwork(section(network=timm_keys(), pool=1), seed=3)(IMAGES)
    torch.testing.assert_close(pooled[:, 0], found.amax(1))


def test_random_weights_follow_the_seed_and_leave_the_generator_alone():
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    one, same, other = (RegionNetwork(section(network=timm_keys()), seed) for seed in (1, 1, 2))
    assert torch.rand(1) == expected
    assert one.made_by == same.made_by and torch.equal(one(IMAGES), same(IMAGES))
    assert one.made_by["fingerprint"] != other.made_by["fingerprint"]


def test_weights_of_a_file_and_what_is_done_to_pictures_are_in_the_description(tmp_path):
    weights = timm.create_model("resnet10t", num_classes=0, channels=[8, 16, 24, 32]).state_dict()
    save_file(weights, tmp_path / "w.safetensors")
    from_file = section(network=timm_keys(weights=str(tmp_path / "w.safetensors")))
    one = RegionNetwork(from_file, seed=1)
    assert one.made_by == RegionNetwork(from_file, seed=2).made_by
    keys = {"network": {**timm_keys(weights=str(tmp_path / "w.safetensors")), "mean_std": "half"}}
    for other in (section(**keys), section(**from_file.model_dump(include={"network"}), pool=1)):
        assert RegionNetwork(other).made_by != one.made_by


def test_tokens_of_a_vision_transformer_are_its_patches_alone():
    options = {"img_size": 64, "embed_dim": 24, "depth": 1, "num_heads": 2}
    network = RegionNetwork(section(network={"name": "vit_tiny_patch16_224", "options": options}))
    assert (network.count, network.width) == (16, 24)
    tokens = network.network.forward_features(network.pixels(IMAGES[:1]))
    torch.testing.assert_close(network(IMAGES[:1]), tokens[:, 1:])


def test_a_map_with_the_colours_last():
    options = {"img_size": 64, "embed_dim": 8, "depths": [1, 1], "num_heads": [1, 1], "window_size": 4}
    network = RegionNetwork(section(network={"name": "swin_tiny_patch4_window7_224", "options": options}))
    assert (network.count, network.width) == (64, 16)


@pytest.mark.parametrize("kind", ["clip", "siglip"])
def test_the_patches_of_a_clip_directory(tmp_path, kind):
    from transformers import CLIPConfig, CLIPModel, CLIPVisionModel, SiglipConfig, SiglipModel, SiglipVisionModel

    vision = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    text = {**vision, "vocab_size": 20, "max_position_embeddings": 8}
    vision |= {"image_size": 64, "patch_size": 16}
    config, model, tower = {
        "clip": (CLIPConfig, CLIPModel, CLIPVisionModel), "siglip": (SiglipConfig, SiglipModel, SiglipVisionModel),
    }[kind]  # fmt: skip
    model(config(text_config=text, vision_config=vision)).save_pretrained(tmp_path)
    network = RegionNetwork(section(network={"name": "clip", "weights": str(tmp_path)}, pool=2))
    assert (network.count, network.width) == (4, 16)
    states = tower.from_pretrained(tmp_path)(pixel_values=network.pixels(IMAGES)).last_hidden_state
    patches = states[:, 1:] if kind == "clip" else states
    torch.testing.assert_close(
        RegionNetwork(section(network={"name": "clip", "weights": str(tmp_path)}))(IMAGES), patches
    )


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"network": {"name": "resnet10x"}}, "timm has no model 'resnet10x'"),
        ({"network": timm_keys(), "grid": 7}, "grid 7 needs a square map of at least as many rows, found 4 cells"),
        ({"network": {"name": "vit_tiny_patch16_224"}}, "cannot read images of 64 pixels"),
        ({"network": {"name": "clip", "weights": "tests"}}, "no network in"),
    ],
)
def test_networks_that_do_not_fit_are_refused(keys, message):
    with pytest.raises(UsageError, match=message):
        RegionNetwork(section(**keys))
