"""OFA's configuration: sizes, the file, and what is refused by name."""

import json

import pytest
import torch
from ofakit.errors import UsageError
from ofakit.models.ofa import OFAConfig, OFAModel
from ofakit.models.ofa.configuration import SIZES, drop_path_rates

from tests.models.ofa.small import SMALL


def test_sizes_have_their_published_parameters():
    published = {"tiny": 33e6, "medium": 93e6, "base": 180e6, "large": 470e6, "huge": 930e6}
    assert published.keys() == SIZES.keys()
    for size, expected in published.items():
        with torch.device("meta"):
            model = OFAModel(OFAConfig.from_size(size))
        assert sum(p.numel() for p in model.parameters()) == pytest.approx(expected, rel=0.03), size


def test_configuration_survives_the_disk(tmp_path):
    config = OFAConfig(**SMALL, share_attn_bias=True, task_specific_params={"a": 1})
    config.save_pretrained(tmp_path)
    assert OFAConfig.from_pretrained(tmp_path) == config.replace()
    assert json.loads((tmp_path / "config.json").read_text())["task_specific_params"] == {"a": 1}


@pytest.mark.parametrize(
    "keys, message",
    [
        ({"normformer": "maybe"}, "key 'normformer' of OFA's configuration: expected bool, found 'maybe'"),
        ({"resnet_type": None}, "'resnet_type' .*expected str, found None"),
        ({"forced_eos_token_id": "x"}, "'forced_eos_token_id' .*expected int . None, found 'x'"),
        ({"use_ofasys": True}, "use_ofasys"),
        ({"resnet_type": "resnet51"}, "resnet50"),
        ({"d_model": "x"}, "key 'd_model' of OFA's configuration: expected int, found 'x'"),
        ({"d_model": None}, "'d_model' .*found None"),
        ({"dropout": "much"}, "'dropout' .*expected float"),
        ({"activation_function": "gelo"}, "gelu"),
        ({"d_model": 30}, "multiple"),
        ({"decoder_attention_heads": 0}, "multiple of decoder_attention_heads, found 32 and 0"),
        ({"is_encoder_decoder": False}, "encoder and a decoder"),
    ],
)
def test_unsupported_variants_are_refused_by_name(keys, message):
    with pytest.raises(UsageError, match=message):
        OFAConfig(**{**SMALL, **keys})


def test_bad_directories_are_refused(tmp_path):
    with pytest.raises(UsageError, match=r"no config\.json"):
        OFAConfig.from_pretrained(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(UsageError, match="not valid JSON"):
        OFAConfig.from_pretrained(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "bart"}')
    with pytest.raises(UsageError, match="'bart'"):
        OFAConfig.from_pretrained(tmp_path)
    with pytest.raises(UsageError, match="tiny"):
        OFAConfig.from_size("tinny")


def test_keys_of_others_are_kept_and_written_back(tmp_path):
    config = OFAConfig(**SMALL, transformers_version="4.1", _name_or_path="x")
    assert config.extra == {"transformers_version": "4.1", "_name_or_path": "x"}
    config.save_pretrained(tmp_path)
    written = json.loads((tmp_path / "config.json").read_text())
    assert (written["model_type"], written["architectures"]) == ("ofa", ["OFAModel"])
    assert OFAConfig.from_pretrained(tmp_path).extra["transformers_version"] == "4.1"


def test_a_copy_differs_in_what_is_replaced_alone():
    config = OFAConfig(**SMALL, odd=1)
    other = config.replace(dropout=0.5)
    differing = {key for key, value in other.to_dict().items() if config.to_dict().get(key) != value}
    assert differing == {"dropout"} and other.dropout == 0.5 and config.dropout == 0.0 and other.extra["odd"] == 1


def test_a_size_with_overrides():
    config = OFAConfig.from_size("base", encoder_layers=2)
    assert (config.d_model, config.encoder_layers, config.decoder_layers) == (768, 2, 6)
    assert (config.encoder_ffn_dim, config.decoder_attention_heads, config.resnet_type) == (3072, 12, "resnet101")


def test_an_integer_for_a_float_is_fine():
    assert OFAConfig(**{**SMALL, "dropout": 0}).dropout == 0.0


@pytest.mark.parametrize(("last", "count", "rates"), [(0.3, 4, [0, 0.1, 0.2, 0.3]), (0.3, 1, [0]), (0.0, 2, [0, 0])])
def test_drop_path_rates_grow_evenly(last, count, rates):
    assert drop_path_rates(last, count) == pytest.approx(rates)
