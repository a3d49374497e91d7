"""CLIP and SigLIP: the vectors of transformers."""

from __future__ import annotations

import pytest
import torch
from ofakit.config.component import Component
from ofakit.errors import UsageError
from ofakit.models.encoders.base import make_encoder, settings_of
from ofakit.models.encoders.clip import ClipEncoder
from ofakit.models.reading import Reading

from tests.models.encoders.kinds import CLIP, SMALL_BERT, items, made


@pytest.mark.parametrize("name", ["clip", "siglip"])
def test_vectors_are_those_of_transformers(name, tmp_path):
    encoder, inputs = made(name, tmp_path)
    batch = inputs.collate(inputs.samples(items()[:4]))
    network, ids = encoder.network, batch["input_ids"]
    if name == "siglip":
        ids = torch.nn.functional.pad(ids, (0, 16 - ids.shape[1]), value=inputs.reading.texts.pad_token_id)
    mask = {"attention_mask": batch["attention_mask"]} if name == "clip" else {}
    with torch.no_grad():
        text = network.get_text_features(input_ids=ids, **mask)
        image = network.get_image_features(pixel_values=encoder.pixels(batch["images"]))
    text, image = (getattr(found, "pooler_output", found) for found in (text, image))
    with torch.no_grad():
        torch.testing.assert_close(encoder.pooled(batch, ("text",)), text)
        torch.testing.assert_close(encoder.pooled(batch, ("image",)), image)
        both = torch.nn.functional.normalize(text, dim=-1) + torch.nn.functional.normalize(image, dim=-1)
        torch.testing.assert_close(encoder.pooled(batch, ("text", "image")), both)


def test_a_missing_image_adds_nothing_to_its_text(tmp_path):
    encoder, inputs = made("clip", tmp_path)
    batch = inputs.collate(inputs.samples([items()[-1]]))
    with torch.no_grad():
        torch.testing.assert_close(encoder.embed(batch, ("text", "image")), encoder.embed(batch, ("text",)))
        assert not encoder.pooled(batch, ("image",)).any()


def test_images_are_normalised_as_the_directory_says(tmp_path):
    encoder, _ = made("clip", tmp_path)
    encoder.network.save_pretrained(tmp_path / "net")
    (tmp_path / "net" / "preprocessor_config.json").write_text(
        '{"image_mean": [0.1, 0.2, 0.3], "image_std": [1, 1, 2]}'
    )
    spec = Component(type="clip", path=str(tmp_path / "net"))
    read = make_encoder(spec, Reading(None, 32))
    assert read.settings.mean == (0.1, 0.2, 0.3) and read.pixels.std.flatten().tolist() == [1, 1, 2]
    assert encoder.pixels.mean.flatten()[0].item() == pytest.approx(0.48145466)


def test_it_says_what_is_missing(tmp_path):
    with pytest.raises(UsageError, match="needs a path, or a tokenizer with its config"):
        ClipEncoder.make_reading(settings_of(Component(type="clip", config=CLIP)), ())
    with pytest.raises(UsageError, match="is not a model of images and texts, such as CLIP"):
        make_encoder(Component(type="clip", config={**SMALL_BERT["config"], "vocab_size": 9}), Reading())


def test_a_directory_of_something_else_is_named(tmp_path):
    with pytest.raises(UsageError, match="no network in"):
        ClipEncoder.load_reading(settings_of(Component(type="clip", path=str(tmp_path))), tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(UsageError, match="is not a model of images and texts, such as CLIP"):
        ClipEncoder.load_reading(settings_of(Component(type="clip", path=str(tmp_path))), tmp_path)
