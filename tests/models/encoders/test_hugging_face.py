"""Text encoders of Hugging Face."""

from __future__ import annotations

import pytest
import torch
from ofakit.config.component import Component
from ofakit.errors import UsageError
from ofakit.models.encoders.base import make_encoder, settings_of
from ofakit.models.encoders.hugging_face import HuggingFaceEncoder, local_directory, network_of

from tests.models.encoders.kinds import BERT, TEXTS


def encoder_of(**keys):
    spec = Component(type="hugging_face", **keys)
    reading = HuggingFaceEncoder.make_reading(settings_of(spec), TEXTS)
    return make_encoder(spec, reading).eval(), reading


def test_it_starts_from_a_directory_of_hugging_face(shared):
    folder = shared / "golden" / "retrieval" / "tiny_bert" / "bert"
    encoder, reading = encoder_of(path=str(folder), pooling="first", max_length=32)
    from transformers import AutoModel

    ids = torch.tensor(reading.texts.encode(["a dog runs on the grass"]))
    states = AutoModel.from_pretrained(folder)(ids).last_hidden_state
    found = encoder.embed({"input_ids": ids, "attention_mask": torch.ones_like(ids)}, ("text",))
    torch.testing.assert_close(found, states[:, 0])
    assert encoder.settings.path is None and encoder.settings.config["hidden_size"] == 32


def test_the_encoder_of_a_t5_needs_no_decoder(tmp_path):
    t5 = {"model_type": "t5", "d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 1, "num_heads": 2}
    assert type(network_of(None, t5)).__name__ == "T5EncoderModel"
    assert type(network_of(None, t5, decoder=True)).__name__ == "T5Model"
    with pytest.raises(UsageError, match="the pooling decoder_start needs a decoder, which bert does not have"):
        network_of(None, BERT, decoder=True)


def test_the_vocabulary_that_was_trained_is_the_networks(tmp_path):
    encoder, reading = encoder_of(config=BERT, vocabulary_size=280)
    assert encoder.transformer.config.vocab_size == len(reading.texts) <= 280


def test_without_a_network_it_says_what_is_needed(tmp_path):
    with pytest.raises(UsageError, match='expected a path, or a config with the model_type.*"bert"'):
        encoder_of(config={"hidden_size": 3})
    with pytest.raises(UsageError, match="no network 'bret'"):
        encoder_of(config={"model_type": "bret"})
    with pytest.raises(
        UsageError, match=r"no model directory \./nowhere, and it is not a hub id \(owner/name\) either"
    ):
        local_directory("./nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="no network in .*empty"):
        network_of(tmp_path / "empty", {})


def test_a_hub_that_gives_nothing_is_said(monkeypatch):
    import huggingface_hub

    def refuse(name):
        raise OSError("no route\nto host")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", refuse)
    with pytest.raises(
        UsageError, match="no model directory owner/name, and none could be fetched from the hub: no route$"
    ):
        local_directory("hub:owner/name")


def test_a_directory_of_hugging_faces_hub_is_asked_for_by_its_name(monkeypatch, tmp_path):
    import huggingface_hub

    asked = []
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda name: asked.append(name) or tmp_path)
    assert local_directory("hf://owner/name") == tmp_path == local_directory("hub:owner/name")
    assert asked == ["owner/name"] * 2
    with pytest.raises(UsageError, match="ms://owner/name would be taken from ModelScope's hub"):
        local_directory("ms://owner/name")
