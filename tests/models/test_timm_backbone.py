"""Networks of timm as OFA's visual backbone: patches of one or two strides, gradients, frozen norms, kept features."""

from __future__ import annotations

import copy

import pytest
import torch
from ofakit.config.backbone import BackboneSection
from ofakit.errors import UsageError
from ofakit.models.batch_norm import batch_norms
from ofakit.models.ofa import OFAModel
from ofakit.models.timm_backbone import TimmBackbone

from tests.models.ofa.small import build, inputs
from tests.two_processes import run_two

IMAGES = torch.randint(0, 256, (3, 3, 64, 64), generator=torch.Generator().manual_seed(1)).byte()
NETWORKS = {
    "test_resnet": {},
    "test_efficientnet": {},
    "test_convnext": {},
    "test_vit": {"options": {"img_size": 64}},
}


def backbone(name="test_efficientnet", **keys) -> TimmBackbone:
    torch.manual_seed(0)
    return TimmBackbone(BackboneSection(name=name, **{**NETWORKS.get(name, {}), **keys})).eval()


def model_of(name="test_efficientnet", **keys) -> OFAModel:
    """The small OFA with a network of timm."""
    section = BackboneSection(name=name, **{**NETWORKS.get(name, {}), **keys})
    return build(backbone=section.network()).eval()


def batch_of(images=IMAGES) -> dict[str, torch.Tensor]:
    return {**inputs(len(images)), "patch_images": images}


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("out_indices", [None, [-1], [-2, -1]])
@torch.no_grad()
def test_every_kind_of_network_gives_a_map_as_wide_as_it_says(name, out_indices):
    vision = backbone(name, out_indices=out_indices)
    features = vision(IMAGES)
    assert features.shape[:2] == (3, vision.width) and features.shape[2] == features.shape[3] >= 2
    assert features.dtype == torch.float32 and features.isfinite().all()


@torch.no_grad()
def test_a_coarse_map_stands_behind_the_fine_one_at_its_place():
    both, fine, coarse = (backbone(out_indices=which)(IMAGES) for which in ([4, 3], [3], [4]))
    wide = fine.shape[1]
    assert torch.equal(both[:, :wide], fine) and both.shape[1] == wide + coarse.shape[1]
    assert fine.shape[-1] == 2 * coarse.shape[-1]
    assert torch.equal(both[:, wide:, ::2, 1::2], coarse)


@torch.no_grad()
def test_the_last_map_is_what_timms_classifier_pools():
    vision = backbone("test_vit")
    tokens = vision.network.forward_features(vision.pixels(IMAGES))
    assert torch.equal(vision(IMAGES).flatten(2).transpose(1, 2), tokens[:, 1:])
    vision = backbone("test_efficientnet")
    assert torch.equal(vision(IMAGES), vision.network.forward_features(vision.pixels(IMAGES)))


def test_what_is_behind_the_last_stage_is_cut_off():
    whole, cut = (sum(p.numel() for p in backbone(out_indices=which).parameters()) for which in (None, [2]))
    assert cut < whole / 2


@torch.no_grad()
def test_bytes_are_normalised_and_floats_taken_as_they_are():
    vision = backbone(mean_std="half")
    assert torch.equal(vision(IMAGES), vision(IMAGES.float() / 127.5 - 1))


def test_norms_that_rest_keep_their_statistics_and_learn_their_weights():
    vision = backbone(frozen_norms=True).train()
    before = {name: value.clone() for name, value in vision.named_buffers()}
    vision(IMAGES).sum().backward()
    assert all(torch.equal(value, before[name]) for name, value in vision.named_buffers())
    assert all(parameter.grad is not None for parameter in vision.parameters()) and vision.network.training
    moving = backbone().train()
    moving(IMAGES)
    assert any(not torch.equal(value, before[name]) for name, value in moving.named_buffers() if name in before)
    assert all(norm.training for norm in batch_norms(moving))


def test_what_cannot_be_is_refused():
    with pytest.raises(UsageError, match="expected out_indices from -5 to 4 for test_efficientnet, found \\[5\\]"):
        backbone(out_indices=[5])
    with pytest.raises(UsageError, match="timm has no model 'test_resnett'"):
        backbone("test_resnett")
    with pytest.raises(UsageError, match="cannot read images of 48 x 48 pixels: Input height"):
        backbone("vit_tiny_patch16_224", options={"img_size": 64, "depth": 1})(IMAGES[:, :, :48, :48])


def test_kept_features_equal_those_of_the_network_which_runs_once(tmp_path):
    vision = backbone(out_indices=[3, 4], feature_store=str(tmp_path))
    plain = vision(IMAGES).detach()
    runs = []
    vision.network.conv_stem.register_forward_hook(lambda *_: runs.append(1))
    found = vision(IMAGES, frozen=True)
    made = len(runs)
    assert torch.equal(vision(IMAGES[[2, 0]], frozen=True), found[[2, 0]]) and len(runs) == made
    torch.testing.assert_close(found, plain, rtol=1e-5, atol=1e-5)
    again = copy.deepcopy(vision)
    again.network.conv_stem.register_forward_hook(lambda *_: runs.append(1))
    assert torch.equal(again(IMAGES, frozen=True), found)
    vision(IMAGES[:, :, :32, :32], frozen=True)
    assert len(list(tmp_path.iterdir())) == 2  # each size has a file of its own
    made = len(runs)
    vision(IMAGES)
    assert len(runs) == made + 1  # one that learns is never looked up


def test_each_part_of_what_makes_features_is_part_of_their_key(tmp_path):
    for keys in ({}, {"mean_std": "imagenet"}, {"out_indices": [4]}, {"feature_dtype": "float16"}):
        backbone(feature_store=str(tmp_path), **keys)(IMAGES, frozen=True)
    other = backbone(feature_store=str(tmp_path))
    with torch.no_grad():
        next(other.network.parameters()).add_(1)
    other(IMAGES, frozen=True)
    assert len(list(tmp_path.iterdir())) == 5


def test_a_model_sees_through_it_and_learns_through_it():
    model = model_of(out_indices=[3, 4]).train()
    logits = model(**batch_of()).logits
    logits.square().sum().backward()
    parts = model.parts()
    assert all(weight.grad is not None for weight in parts["visual"][0].parameters())
    assert model.encoder.image_proj.weight.grad.any() and model.takes_bytes
    other = model(**batch_of(IMAGES.flip(0))).logits
    assert not torch.allclose(other, logits, atol=1e-4)


def test_the_initialisation_of_a_network_is_its_own():
    section = BackboneSection(name="test_vit", options={"img_size": 64})
    model = build(backbone=section.network(), init_std=0.3)
    assert model.encoder.embed_images.network.blocks[0].attn.qkv.weight.std() < 0.1 < model.output_embedding.std()


@pytest.mark.parametrize("out_indices", [None, [3, 4]])
def test_it_is_saved_and_read_with_the_model(tmp_path, out_indices):
    model = model_of(out_indices=out_indices)
    model.save_pretrained(tmp_path)
    again = OFAModel.from_pretrained(tmp_path)
    assert again.config.to_dict() == model.config.to_dict()
    with torch.no_grad():
        assert torch.equal(again(**batch_of()).logits, model(**batch_of()).logits)


def test_the_configuration_of_ofas_own_has_no_key_of_ours():
    assert "backbone" not in build().config.to_dict()
    with pytest.raises(UsageError, match="unknown key 'nam'"):
        build(backbone={"nam": "test_resnet"})


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_a_copy_for_inference_says_the_same(precision, tmp_path):
    model = model_of(out_indices=[3, 4])
    plain = model(**batch_of()).logits
    fast = model.prepare_for_inference(precision)
    bounds = {"atol": 1e-4, "rtol": 1e-4} if precision == "fp32" else {"atol": 0.1, "rtol": 0.1}
    torch.testing.assert_close(_logits(fast), plain, **bounds)
    model.freeze(["visual"])
    model.encoder.embed_images.keep_features(BackboneSection(name="any", feature_store=str(tmp_path)))
    kept = model.prepare_for_inference(precision)
    torch.testing.assert_close(_logits(kept), plain, **bounds)
    assert {weight.dtype for weight in kept.encoder.embed_images.parameters()} == {torch.float32}
    assert torch.equal(_logits(kept), _logits(model.prepare_for_inference(precision)))


def test_a_transformer_keeps_its_own_layers_in_a_copy_for_inference():
    model = model_of("test_vit")
    fast = model.prepare_for_inference()
    torch.testing.assert_close(_logits(fast), model(**batch_of()).logits, atol=1e-4, rtol=1e-4)


@torch.no_grad()
def _logits(model):
    batch = batch_of()
    encoded = model.encode(**{name: batch[name] for name in ("input_ids", "patch_images", "patch_masks")})
    hidden = model.decode(batch["decoder_input_ids"], encoded)
    return hidden.float() @ model.output_embedding.float().t()


SCRIPT = """
import sys, torch, torch.distributed as dist
from pathlib import Path
from tests.models.test_timm_backbone import *
from ofakit.processes import join_processes

processes = join_processes("cpu")
model, batch = model_of(out_indices=[3, 4]).double().train(), batch_of()
mine = slice(0, 1) if processes.is_main else slice(1, 3)
model(**{name: value[mine] for name, value in batch.items()}).logits.square().sum().backward()
for parameter in (parameter for parameter in model.parameters() if parameter.grad is not None):
    dist.all_reduce(parameter.grad)
if processes.is_main:
    torch.save({name: p.grad for name, p in model.named_parameters()}, Path(sys.argv[1]) / "gradients.pt")
"""


def test_two_processes_give_the_gradient_of_the_joined_batch(tmp_path):
    run_two(SCRIPT, tmp_path)
    model = model_of(out_indices=[3, 4]).double().train()
    model(**batch_of()).logits.square().sum().backward()
    gradients = torch.load(tmp_path / "gradients.pt")
    for name, weight in model.named_parameters():
        if weight.grad is not None:
            torch.testing.assert_close(gradients[name], weight.grad, rtol=1e-6, atol=1e-6, msg=name)
