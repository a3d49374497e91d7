"""OFA as an encoder."""

from __future__ import annotations

import torch
from ofakit.config.component import Component
from ofakit.config.schema import PreprocessorSection
from ofakit.hub import CaptionBundle, save_bundle
from ofakit.models.encoders.base import make_encoder, settings_of
from ofakit.models.encoders.ofa import OFAEncoder
from ofakit.models.heads.pooling import pool
from ofakit.models.ofa import OFAModel

from tests.models.encoders.kinds import TEXTS, items, made


def test_it_pools_the_states_that_captions_are_written_from(tmp_path):
    encoder, inputs = made("ofa layers", tmp_path)
    batch = inputs.collate(inputs.samples(items()))
    network = encoder.network
    with torch.no_grad():
        found = encoder.embed(batch, ("text", "image"))
        seen = network.encode(batch["input_ids"], encoder.pixels(batch["images"]), batch["image_mask"], True)
    torch.testing.assert_close(found, pool(seen.hidden_states, ~seen.padding_mask, "sum", 2))


def test_the_decoders_start_token_sees_text_and_image(tmp_path):
    encoder, inputs = made("ofa decoder", tmp_path)
    batch = inputs.collate(inputs.samples(items()[:2]))
    with torch.no_grad():
        seen = encoder.network.encode(batch["input_ids"], encoder.pixels(batch["images"]), batch["image_mask"])
        expected = encoder.network.decode(torch.zeros(2, 1, dtype=torch.int64), seen)[:, 0]
        torch.testing.assert_close(encoder.embed(batch, ("text", "image")), expected)


def test_texts_are_read_with_bos_eos_and_a_space_in_front(tmp_path):
    _, inputs = made("ofa", tmp_path)
    texts = inputs.reading.texts
    assert texts.encode([""]) == [[0, 2]]
    assert texts.encode(["A flag"]) == [[0, *texts.tokenizer.encode(" a flag"), 2]]
    assert [len(ids) for ids in texts.encode(["a flag " * 100])] == [128]


def test_it_starts_from_a_captioner(tmp_path):
    encoder, inputs = made("ofa", tmp_path)
    captioner = CaptionBundle(encoder.network, inputs.reading.texts.tokenizer, None, PreprocessorSection())
    save_bundle(captioner, tmp_path / "captioner")
    spec = Component(type="ofa", path=str(tmp_path / "captioner"), image_size=32)
    reading = OFAEncoder.make_reading(settings_of(spec), ())
    started = make_encoder(spec, reading).eval()
    batch = inputs.collate(inputs.samples(items()))
    with torch.no_grad():
        assert torch.equal(started.pooled(batch, ("text", "image")), encoder.pooled(batch, ("text", "image")))
    assert reading.texts.encode(TEXTS) == inputs.reading.texts.encode(TEXTS)
    assert reading.texts.fingerprint() == inputs.reading.texts.fingerprint()


def test_a_captioner_that_sees_through_timm_is_an_encoder_too(tmp_path):
    encoder, inputs = made("ofa", tmp_path)
    config = encoder.network.config.replace(backbone={"name": "test_efficientnet", "out_indices": [3]})
    tokenizer = inputs.reading.texts.tokenizer
    captioner = CaptionBundle(OFAModel(config).eval(), tokenizer, None, PreprocessorSection())
    save_bundle(captioner, tmp_path / "captioner")
    spec = Component(type="ofa", path=str(tmp_path / "captioner"), image_size=32)
    started = make_encoder(spec, OFAEncoder.make_reading(settings_of(spec), ())).eval()
    batch = inputs.collate(inputs.samples(items()))
    again = OFAEncoder(started.settings, inputs.reading).eval()
    again.load_state_dict(started.state_dict())
    with torch.no_grad():
        found = started.pooled(batch, ("text", "image"))
        flipped = started.pooled({**batch, "images": 255 - batch["images"]}, ("text", "image"))
        assert torch.equal(again.pooled(batch, ("text", "image")), found)
    there = batch["image_mask"]
    assert there.any() and not torch.allclose(found[there], flipped[there], atol=1e-4)
