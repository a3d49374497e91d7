"""A network of timm in VL-T5 and VL-BART in place of regions: its features, its gradients, saved, frozen, kept."""

from __future__ import annotations

import pytest
import torch
from ofakit.config.backbone import BackboneSection
from ofakit.config.load import checked
from ofakit.config.regions import RegionsSection
from ofakit.config.schema import ModelSection
from ofakit.errors import UsageError
from ofakit.models.adapters import add_adapters
from ofakit.models.generation import generate
from ofakit.models.region_network import RegionNetwork
from ofakit.models.types.vl import VL
from ofakit.models.vl import VLModel
from ofakit.preprocessors.regions import collate_regions

from tests.models.vl.small import tiny

IMAGES = torch.randint(0, 256, (3, 3, 64, 64), generator=torch.Generator().manual_seed(1)).byte()
NETWORKS = {"test_resnet": {}, "test_efficientnet": {}, "test_vit": {"options": {"img_size": 64}}}
IDS = torch.randint(10, 90, (3, 6), generator=torch.Generator().manual_seed(1))


def section(name="test_resnet", **keys) -> BackboneSection:
    return BackboneSection(name=name, **{**NETWORKS[name], **keys})


def seeing(family="bart", name="test_resnet", **keys) -> VLModel:
    return tiny(family, timm_backbone=section(name).network(), **keys)


def batch(**changes):
    return {"input_ids": IDS, "patch_images": IMAGES, "patch_masks": torch.tensor([True, True, False]), **changes}


@pytest.mark.parametrize("name", NETWORKS)
@torch.no_grad()
def test_its_features_are_those_that_the_same_network_makes_as_regions(name, tmp_path):
    spec = checked(RegionsSection, {"network": {"name": name, **NETWORKS[name]}, "image_size": 64})
    made = RegionNetwork(spec, seed=5)
    torch.save(made.network.state_dict(), tmp_path / "weights.pt")
    wanted = section(name, weights=str(tmp_path / "weights.pt"))
    vocabulary = VL().tokenizer(ModelSection(tokenizer={"train_vocab_size": 300, "num_bins": 0}), ["a dog"])
    small = {"d_model": 64, "encoder_attention_heads": 4, "decoder_attention_heads": 4}
    model = VL().build(ModelSection(type="vl", config=small, backbone=wanted), vocabulary).eval()
    regions = made(IMAGES)
    assert model.config.feat_dim == regions.shape[2] and not model.reads_regions and model.takes_bytes
    cells = model.visual_features(IMAGES).flatten(2).transpose(1, 2)
    torch.testing.assert_close(cells, regions, rtol=1e-5, atol=1e-5)
    seen = model.encode(IDS, patch_images=IMAGES).last_hidden_state
    given = model.encode(IDS, vis_feats=regions).last_hidden_state
    torch.testing.assert_close(seen, given, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("family", ["bart", "t5"])
@pytest.mark.parametrize("name", NETWORKS)
def test_it_learns_with_the_model(family, name):
    model = seeing(family, name).train()
    model(**batch(), labels=IDS).loss.backward()
    assert all(weight.grad is not None for weight in model.parts()["backbone"][0].parameters())
    assert sum(float(weight.grad.abs().sum()) for weight in model.backbone.parameters()) > 0


@torch.no_grad()
def test_a_missing_image_is_not_looked_at():
    model = seeing()
    other = IMAGES.clone()
    other[2] = 255 - other[2]
    assert torch.equal(model(**batch(), labels=IDS).logits, model(**batch(patch_images=other), labels=IDS).logits)
    all_there = {"patch_masks": None}
    first = model(**batch(**all_there), labels=IDS).logits
    assert not torch.equal(first, model(**batch(patch_images=other, **all_there), labels=IDS).logits)


@torch.no_grad()
def test_several_texts_about_an_image_see_it_once():
    model, index = seeing(), torch.tensor([1, 1, 0])
    runs = []
    model.backbone.register_forward_hook(lambda *_: runs.append(1))
    found = model.encode(**model.encoder_inputs(batch()), image_index=index)
    expected = model.encode(**model.encoder_inputs(batch(patch_images=IMAGES[index], patch_masks=None)))
    torch.testing.assert_close(found.last_hidden_state, expected.last_hidden_state)
    assert len(runs) == 2 and not found.padding_mask.any()


SEVERAL = torch.tensor([[1, 0], [2, -1]])


def one_at_a_time(model, images, index):
    """Regions of several images an example, each image computed alone, as a store of regions has them."""
    cells = [model.visual_features(image[None]).flatten(2).transpose(1, 2)[0] for image in images]
    samples = []
    for row in index.tolist():
        own = [cells[place] for place in row if place >= 0]
        orders = [torch.arange(len(one)) for one in own]
        numbers = [torch.full_like(order, number) for number, order in enumerate(orders)]
        samples.append({
            "vis_feats": torch.cat(own), "boxes": torch.zeros(sum(map(len, own)), 4),
            "img_order_ids": torch.cat(numbers), "obj_order_ids": torch.cat(orders),
        })  # fmt: skip
    return {"input_ids": IDS[: len(index)], **collate_regions(samples)}


@pytest.mark.parametrize("family", ["bart", "t5"])
@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("keys", [{}, {"downsample": True, "n_boxes": 1}])
@torch.no_grad()
def test_several_images_of_an_example_are_read_as_their_regions_are(family, name, keys):
    model = seeing(family, name, **keys)
    expected = model.encode(**one_at_a_time(model, IMAGES, SEVERAL))
    runs = []
    model.backbone.register_forward_hook(lambda _, given, __: runs.append(len(given[0])))
    seen = {"input_ids": IDS[:2], "patch_images": IMAGES, "image_index": SEVERAL}
    found = model.encode(**model.encoder_inputs(seen))
    assert runs == [3], "all in one call, and no image that is not there"
    assert torch.equal(found.padding_mask, expected.padding_mask) and found.padding_mask.any()
    there = ~found.padding_mask
    states = (one.last_hidden_state[there] for one in (found, expected))
    torch.testing.assert_close(*states, rtol=1e-5, atol=1e-5)
    turned = model.encode(**{**seen, "image_index": torch.tensor([[0, 1], [2, -1]])})
    assert not torch.allclose(turned.last_hidden_state[0], found.last_hidden_state[0])
    alone = model(IDS[1:2], patch_images=IMAGES[2:], labels=IDS[1:2]).logits
    torch.testing.assert_close(model(**seen, labels=IDS[:2]).logits[1:], alone, rtol=1e-5, atol=1e-5)


def test_padding_beside_several_images_does_not_learn():
    model = seeing().train()
    for part in model.parts()["backbone"][0].modules():
        part.train(False)
    gradients = []
    for index in (SEVERAL[1:], SEVERAL[1:, :1]):
        model.zero_grad()
        model(IDS[:1], patch_images=IMAGES, image_index=index, labels=IDS[:1]).loss.backward()
        gradients.append([weight.grad for weight in model.backbone.parameters()])
    torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-6)
    assert any(gradient.any() for gradient in gradients[0])


@torch.no_grad()
def test_texts_about_examples_of_several_images_see_each_once():
    model, of_example = seeing(), torch.tensor([1, 0, 0])
    seen = {"input_ids": IDS[:2], "patch_images": IMAGES, "image_index": SEVERAL}
    expected = model.encode(IDS, patch_images=IMAGES, image_index=SEVERAL[of_example]).last_hidden_state
    runs = []
    model.backbone.register_forward_hook(lambda _, given, __: runs.append(len(given[0])))
    found = model.encode(IDS, **model.seen_by_texts(seen, of_example)).last_hidden_state
    torch.testing.assert_close(found, expected)
    assert runs == [3]
    model.encode(IDS, **model.seen_by_texts(batch(), torch.tensor([1, 1, 0])))
    assert runs == [3, 3]


@torch.no_grad()
def test_features_of_several_images_are_kept(tmp_path):
    model = seeing()
    seen = {"input_ids": IDS[:2], "patch_images": IMAGES, "image_index": SEVERAL}
    expected = model.encode(**seen).last_hidden_state
    model.freeze(["backbone"])
    model.backbone.keep_features(section(feature_store=str(tmp_path)))
    runs = []
    model.backbone.network.conv1.register_forward_hook(lambda *_: runs.append(1))
    found = [model.encode(**model.encoder_inputs(model.with_frozen_features(seen))) for _ in range(2)]
    torch.testing.assert_close(found[0].last_hidden_state, expected, rtol=1e-5, atol=1e-5)
    assert torch.equal(found[0].last_hidden_state, found[1].last_hidden_state)
    assert len(runs) == 4, "one image finds the shape, and each of three is computed once"


def test_more_images_than_the_model_tells_apart_are_refused():
    with pytest.raises(UsageError, match=r"expected at most 2 images an example \(n_images\), found 3"):
        seeing().encode(IDS[:1], patch_images=IMAGES, image_index=torch.tensor([[0, 1, 2]]))
    assert seeing(n_images=3).encode(IDS[:1], patch_images=IMAGES, image_index=torch.tensor([[0, 1, 2]]))


@pytest.mark.parametrize("family", ["bart", "t5"])
def test_it_is_saved_and_read_with_the_model(family, tmp_path):
    model = seeing(family, "test_efficientnet")
    model.save_pretrained(tmp_path)
    again = VLModel.from_pretrained(tmp_path)
    assert again.config.to_dict() == model.config.to_dict()
    with torch.no_grad():
        assert torch.equal(again(**batch(), labels=IDS).logits, model(**batch(), labels=IDS).logits)
    few = generate(again, batch(), num_beams=2, max_length=6)
    assert [[h.tokens for h in of] for of in few] == [
        [h.tokens for h in of] for of in generate(model, batch(), num_beams=2, max_length=6)
    ]


def test_a_checkpoint_without_its_weights_is_refused_unless_it_is_of_a_model_of_regions(tmp_path):
    model = seeing()
    weights = {name: value for name, value in model.stock_state_dict().items() if not name.endswith("conv1.weight")}
    assert any(name.startswith("backbone.") for name in weights)
    torch.save(weights, tmp_path / "cut.pth")
    vocabulary = VL().tokenizer(ModelSection(tokenizer={"train_vocab_size": 300, "num_bins": 0}), ["a dog"])
    config = {key: getattr(model.config, key) for key in ("d_model", "dropout", "encoder_layers", "decoder_layers")}
    keys = {"type": "vl", "config": config, "backbone": section()}
    with pytest.raises(UsageError, match=r"missing: backbone\.network"):
        VL().build(ModelSection(path=str(tmp_path / "cut.pth"), **keys), vocabulary)
    plain = {name: value for name, value in weights.items() if not name.startswith("backbone.")}
    torch.save(plain, tmp_path / "Epoch30.pth")
    built = VL().build(ModelSection(path=str(tmp_path / "Epoch30.pth"), **keys), vocabulary)
    assert torch.equal(built.shared.weight[:300], model.shared.weight)


def test_frozen_it_rests_and_is_run_once_a_step():
    model = seeing()
    model.freeze(["backbone"])
    model.train()
    before = {name: value.clone() for name, value in model.backbone.named_buffers()}
    shown = model.with_frozen_features(batch())
    assert shown["patch_features"].shape[:2] == (3, model.config.feat_dim)
    runs = []
    model.backbone.register_forward_hook(lambda *_: runs.append(1))
    model(**batch(), labels=IDS).loss.backward()
    assert all(torch.equal(value, before[name]) for name, value in model.backbone.named_buffers())
    assert all(weight.grad is None for weight in model.backbone.parameters()) and len(runs) == 1
    model.encode(**model.encoder_inputs(shown))
    assert len(runs) == 1 and model.encoder.visual_embedding.feat_embedding[0].weight.grad.any()


def test_beside_adapters_it_is_frozen_unless_it_shall_learn():
    model = add_adapters(seeing(), {"type": "bottleneck", "reduction": 8, "layer_norms": True})
    assert model.backbone_frozen and not any(weight.requires_grad for weight in model.backbone.parameters())
    assert model.encoder.visual_embedding.feat_embedding[0].weight.requires_grad
    also = add_adapters(seeing(), {"type": "bottleneck", "reduction": 8, "also": ["backbone"]})
    assert not also.backbone_frozen and all(weight.requires_grad for weight in also.backbone.parameters())


def test_a_model_of_regions_gets_the_network_that_they_are_from():
    model, wanted = tiny(), section()
    with pytest.raises(UsageError, match=r"taught with features of 8 numbers \(feat_dim\), and these have \d+"):
        VL().train_as(model, ModelSection(type="vl", backbone=wanted))
    model = VLModel(model.config.replace(feat_dim=seeing().config.feat_dim))
    VL().train_as(model, ModelSection(type="vl", backbone=section(frozen=True)))
    assert not model.reads_regions and model.backbone_frozen and model.config.timm_backbone == wanted.network()
    with pytest.raises(UsageError, match=r"model\.backbone: expected the model's own backbone, .*'test_resnet'"):
        VL().train_as(model, ModelSection(type="vl", backbone=section("test_efficientnet")))


def test_pixels_without_a_backbone_and_another_width_are_refused():
    with pytest.raises(UsageError, match="this model reads features of regions, not pixels"):
        tiny().encode(IDS, patch_images=IMAGES)
    with pytest.raises(UsageError, match="expected input_ids, patch_images and patch_masks, found labels"):
        seeing().encoder_inputs({"labels": IDS})
    vocabulary = VL().tokenizer(ModelSection(tokenizer={"train_vocab_size": 300, "num_bins": 0}), ["a dog"])
    small = {"d_model": 64, "encoder_attention_heads": 4, "decoder_attention_heads": 4, "feat_dim": 7}
    with pytest.raises(UsageError, match=r"model\.config\.feat_dim is 7, but the backbone's features have"):
        VL().build(ModelSection(type="vl", config=small, backbone=section()), vocabulary)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@torch.no_grad()
def test_a_copy_for_inference_says_the_same_and_keeps_features_in_fp32(precision, tmp_path):
    model = seeing()
    plain = model.encode(**model.encoder_inputs(batch())).last_hidden_state
    bounds = {"atol": 1e-5, "rtol": 1e-5} if precision == "fp32" else {"atol": 0.1, "rtol": 0.1}
    fast = model.prepare_for_inference(precision)
    found = fast.encode(**fast.encoder_inputs(batch())).last_hidden_state
    torch.testing.assert_close(found.float(), plain, **bounds)
    model.freeze(["backbone"])
    model.backbone.keep_features(section(feature_store=str(tmp_path)))
    kept = model.prepare_for_inference(precision)
    found = kept.encode(**kept.encoder_inputs(batch())).last_hidden_state
    torch.testing.assert_close(found.float(), plain, **bounds)
    assert {weight.dtype for weight in kept.backbone.parameters()} == {torch.float32}
    assert len(list(tmp_path.iterdir())) == 1
