"""VL-T5 and VL-BART as encoders."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from ofakit.config.component import Component
from ofakit.data.query import Query
from ofakit.data.regions import Regions
from ofakit.models.encoders.base import make_encoder, settings_of
from ofakit.models.encoders.vl import VLEncoder
from ofakit.preprocessors.regions import RegionInputs
from ofakit.preprocessors.sides import SideInputs

from tests.text.small_t5 import write_t5_vocabulary

SMALL = {"d_model": 32, "encoder_layers": 2, "decoder_layers": 1, "encoder_ffn_dim": 40, "decoder_ffn_dim": 40,
         "encoder_attention_heads": 2, "decoder_attention_heads": 2, "feat_dim": 6, "dropout": 0.0}  # fmt: skip
TEXTS = ["a calm dog by the sea", "a wild dog in the sea"] * 4


def spec(**keys):
    tokenizer = {"train_vocab_size": 300, "num_codes": 1, "num_bins": 0}
    config = {**SMALL, **keys.pop("config", {})}
    return Component(**{"type": "vl", "tokenizer": tokenizer, "config": config, **keys})


def made(**keys):
    torch.manual_seed(0)
    wanted = spec(**keys)
    reading = VLEncoder.make_reading(settings_of(wanted), TEXTS)
    return make_encoder(wanted, reading).eval(), reading


def batch(reading, texts=("a dog", "the calm sea")):
    rows = reading.texts.encode(list(texts))
    longest = max(map(len, rows))
    ids = torch.tensor([row + [reading.texts.pad_token_id] * (longest - len(row)) for row in rows])
    generator = torch.Generator().manual_seed(1)
    return {"input_ids": ids, "vis_feats": torch.rand(2, 4, 6, generator=generator), "boxes": torch.zeros(2, 4, 4),
            "vis_attention_mask": torch.ones(2, 4, dtype=torch.bool)}  # fmt: skip


@pytest.mark.parametrize("family", ["bart", "t5"])
@pytest.mark.parametrize(
    "keys, width",
    [({"pooling": "first"}, 32), ({"pooling": "mean"}, 32), ({"pooling": "sum", "layers": 2}, 32),
     ({"pooling": "concat", "layers": 2}, 64), ({"pooling": "decoder_start"}, 32), ({"projection": 5}, 5)],
)  # fmt: skip
@pytest.mark.parametrize("modalities", [("text",), ("image",), ("text", "image")])
def test_every_way_of_pooling_gives_a_vector_an_example(family, keys, width, modalities):
    encoder, reading = made(config={"model_type": family}, **keys)
    assert reading.regions
    inputs = batch(reading)
    with torch.no_grad():
        both = encoder.embed(inputs, modalities)
        alone = encoder.embed({key: value[1:] for key, value in inputs.items()}, modalities)
    assert both.shape == (2, width)
    torch.testing.assert_close(both[1:], alone, atol=1e-5, rtol=1e-5)


def test_modalities_tell_what_is_looked_at():
    encoder, reading = made()
    inputs = batch(reading)
    other = {**inputs, "vis_feats": inputs["vis_feats"] + 1}
    with torch.no_grad():
        assert torch.equal(encoder.embed(inputs, ["text"]), encoder.embed(other, ["text"]))
        assert not torch.equal(encoder.embed(inputs, ["text", "image"]), encoder.embed(other, ["text", "image"]))


def test_concatenated_layers_end_with_what_the_decoder_reads():
    encoder, reading = made(pooling="concat", layers=2, config={"model_type": "t5"})
    inputs = batch(reading)
    single, _ = made(pooling="mean", config={"model_type": "t5"})
    single.load_state_dict(encoder.state_dict())
    with torch.no_grad():
        torch.testing.assert_close(encoder.embed(inputs, ["text"])[:, 32:], single.embed(inputs, ["text"]))


def test_its_settings_make_it_again():
    encoder, reading = made(normalize=True)
    again = make_encoder(Component(type="vl", **encoder.settings.model_dump(mode="json")), reading)
    again.load_state_dict(encoder.state_dict())
    inputs = batch(reading)
    with torch.no_grad():
        assert torch.equal(again.eval().embed(inputs, ["text", "image"]), encoder.embed(inputs, ["text", "image"]))


@pytest.mark.parametrize("start", [True, False], ids=["a T5 as a start", "T5's vocabulary alone"])
def test_t5s_own_vocabulary_has_no_bos(tmp_path, start):
    folder = write_t5_vocabulary(tmp_path / "t5", TEXTS)
    wanted = Component(type="vl", tokenizer={"path": str(folder)}, config={**SMALL, "model_type": "t5"})
    if start:
        transformers = pytest.importorskip("transformers")
        sizes = {"d_model": 32, "d_kv": 16, "d_ff": 40, "num_layers": 2, "num_heads": 2, "vocab_size": 260}
        transformers.T5Model(transformers.T5Config(**sizes)).save_pretrained(folder)
        wanted = Component(type="vl", path=str(folder), config={"feat_dim": 6, "dropout": 0.0})
    reading = VLEncoder.make_reading(settings_of(wanted), ())
    encoder = make_encoder(wanted, reading).eval()
    inputs = batch(reading)
    assert (inputs["input_ids"] == 1).sum(1).tolist() == [1, 1]
    assert encoder.no_text(inputs["vis_feats"]).tolist() == [[1], [1]]
    reading.texts.save(tmp_path / "saved")
    again = VLEncoder.load_reading(encoder.settings, tmp_path / "saved")
    assert again.texts.fingerprint() == reading.texts.fingerprint()
    copy = VLEncoder(encoder.settings, again).eval()
    copy.load_state_dict(encoder.state_dict())
    with torch.no_grad():
        for modalities in (["text"], ["image"], ["text", "image"]):
            assert torch.equal(copy.embed(batch(again), modalities), encoder.embed(inputs, modalities))


BACKBONE = {"name": "test_resnet", "frozen": True}


def seen(reading, texts=("a dog", "the calm sea")):
    generator = torch.Generator().manual_seed(1)
    images = torch.randint(0, 256, (2, 3, 64, 64), generator=generator).byte()
    return {"input_ids": batch(reading, texts)["input_ids"], "images": images, "image_mask": torch.tensor([True] * 2)}


def without_width(**keys):
    made_of = {name: value for name, value in SMALL.items() if name != "feat_dim"}
    spec = {"type": "vl", "tokenizer": {"train_vocab_size": 300, "num_codes": 1, "num_bins": 0}, "config": made_of}
    return Component(**{**spec, "backbone": BACKBONE, "image_size": 64, **keys})


@pytest.mark.parametrize("modalities", [("text",), ("image",), ("text", "image")])
def test_with_a_backbone_it_reads_pixels(modalities):
    torch.manual_seed(0)
    reading = VLEncoder.make_reading(settings_of(without_width()), TEXTS)
    encoder = make_encoder(without_width(), reading)
    assert reading.image_size == 64 and not reading.regions
    assert encoder.network.backbone_frozen and not encoder.train().network.backbone.training
    inputs = seen(reading)
    other = {**inputs, "images": 255 - inputs["images"]}
    again = make_encoder(Component(type="vl", **encoder.settings.model_dump(mode="json")), reading)
    again.load_state_dict(encoder.state_dict())
    with torch.no_grad():
        vectors = encoder.eval().embed(inputs, modalities)
        assert torch.equal(vectors, encoder.embed(other, modalities)) == ("image" not in modalities)
        assert torch.equal(again.eval().embed(inputs, modalities), vectors)
    assert again.network.backbone_frozen


@pytest.mark.parametrize("pooling", ["mean", "decoder_start"])
@pytest.mark.parametrize("modalities", [("text",), ("image",), ("text", "image")])
@torch.no_grad()
def test_all_images_of_a_question_are_read_as_their_regions_are(pooling, modalities):
    spec = without_width(pooling=pooling)
    reading = VLEncoder.make_reading(settings_of(spec), TEXTS)
    encoder = make_encoder(spec, reading).eval()
    pixels = [image.permute(1, 2, 0).numpy() for image in seen(reading)["images"]]
    items = [
        Query("1", "a dog", pixels[0], other_images=(pixels[1],)),
        Query("2", "the sea", pixels[1]),
        Query("3", "a"),
    ]
    side = SideInputs(reading)
    found = encoder.embed(side.collate(side.samples(items)), modalities)

    class Live:
        width, image_size = encoder.network.config.feat_dim, 64

        def regions_of(self, images):
            pixels = (torch.from_numpy(image).permute(2, 0, 1)[None] for image in images)
            return [Regions(encoder.network.visual_features(own).flatten(2)[0].T.numpy()) for own in pixels]

    of_regions = without_width(pooling=pooling, backbone=None, config={**SMALL, "feat_dim": Live.width})
    blind = VLEncoder.make_reading(settings_of(of_regions), TEXTS)
    by_regions = make_encoder(of_regions, blind).eval()
    weights = {name: value for name, value in encoder.state_dict().items() if ".backbone." not in name}
    by_regions.load_state_dict(weights)
    side = SideInputs(blind, regions=RegionInputs(None, live=Live()))
    expected = by_regions.embed(side.collate(side.samples(items)), modalities)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    first = [dataclasses.replace(item, other_images=()) for item in items]
    alone = encoder.embed((side := SideInputs(reading)).collate(side.samples(first)), modalities)
    torch.testing.assert_close(found[1:], alone[1:], atol=1e-5, rtol=1e-5)
    assert torch.allclose(found[0], alone[0], atol=1e-5) == ("image" not in modalities)


def test_a_directory_whose_model_has_a_backbone_is_read_with_it(tmp_path):
    reading = VLEncoder.make_reading(settings_of(without_width()), TEXTS)
    encoder = make_encoder(without_width(), reading).eval()
    encoder.network.save_pretrained(tmp_path)
    reading.texts.save(tmp_path)
    spec = Component(type="vl", path=str(tmp_path), image_size=64)
    read = VLEncoder.make_reading(settings_of(spec), ())
    assert dataclasses.astuple(read)[1:] == (64, False, True)
    again = make_encoder(spec, read).eval()
    with torch.no_grad():
        assert torch.equal(again.embed(seen(read), ["image"]), encoder.embed(seen(reading), ["image"]))
    assert again.settings.backbone.name == "test_resnet" and again.settings.path is None
