"""Keys of T5 and BART, read under either name."""

from __future__ import annotations

import json

import pytest
from ofakit.errors import UsageError
from ofakit.models.vl import VLConfig


def test_names_of_t5_are_read():
    config = VLConfig(
        model_type="t5", num_layers=3, num_decoder_layers=2, d_model=32, num_heads=2, d_ff=40, dropout_rate=0.2
    )
    assert (config.encoder_layers, config.decoder_layers, config.encoder_ffn_dim, config.decoder_ffn_dim) == (
        3,
        2,
        40,
        40,
    )
    assert (config.dropout, config.attention_dropout, config.activation_dropout) == (0.2, 0.2, 0.2)
    assert (config.pad_token_id, config.eos_token_id, config.decoder_start_token_id) == (0, 1, 0)
    assert config.activation_function == "relu" and config.forced_eos_token_id is None


@pytest.mark.parametrize("family", ["bart", "t5"])
def test_what_is_written_is_read(family, tmp_path):
    config = VLConfig.from_size(f"{family}-tiny", feat_dim=7, dropout=0.3)
    config.save_pretrained(tmp_path)
    assert VLConfig.from_pretrained(tmp_path).to_dict() == config.to_dict()


def test_a_gated_feed_forward_net():
    config = VLConfig(model_type="t5", feed_forward_proj="gated-gelu", tie_word_embeddings=False)
    assert config.gated_feed_forward and config.activation_function == "gelu_new" and not config.scale_decoder_outputs


def test_other_keys_are_kept_and_written_back():
    config = VLConfig(model_type="bart", id2label={"0": "x"})
    assert config.extra == {"id2label": {"0": "x"}} and config.to_dict()["id2label"] == {"0": "x"}


@pytest.mark.parametrize(
    "keys, message",
    [
        ({"d_model": "wide"}, "d_model"),
        ({"d_model": 10, "encoder_attention_heads": 3}, "multiple of encoder_attention_heads"),
        ({"dropout": 1.5}, "dropout"),
        ({"model_type": "gpt"}, "model_type"),
        ({"model_type": "t5", "share_vis_lang_layer_norm": True}, "share_vis_lang_layer_norm"),
        ({"tie_word_embeddings": False}, "tie_word_embeddings"),
    ],
)
def test_bad_values_are_refused(keys, message):
    with pytest.raises(UsageError, match=message):
        VLConfig(**keys)


def test_directories_of_others_are_refused(tmp_path):
    with pytest.raises(UsageError, match=r"no config\.json"):
        VLConfig.from_pretrained(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(UsageError, match="expected model_type 't5' or 'bart', found 'bert'"):
        VLConfig.from_pretrained(tmp_path)
    with pytest.raises(UsageError, match="unknown size"):
        VLConfig.from_size("bart-huge")


def test_the_original_trainers_backbone_is_the_name_of_the_language_model_and_kept_as_it_is():
    config = VLConfig(backbone="t5-base", model_type="t5")
    assert config.timm_backbone is None and config.to_dict()["backbone"] == "t5-base"
    backbone = {"name": "test_resnet"}
    assert VLConfig(**VLConfig(timm_backbone=backbone).to_dict()).timm_backbone == backbone
