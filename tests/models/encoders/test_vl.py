"""VL-T5 and VL-BART as encoders."""

from __future__ import annotations

import pytest
import torch
from ofakit.config.component import Component
from ofakit.models.encoders.base import make_encoder, settings_of
from ofakit.models.encoders.vl import VLEncoder

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
