"""What the weights of a VL-T5 or VL-BART tell of its configuration."""

from __future__ import annotations

import pytest
import torch
from ofakit.errors import UsageError
from ofakit.models.vl.configuration import VLConfig
from ofakit.models.vl.model import VLModel
from ofakit.models.vl.weights_configuration import are_vl_names, config_of_weights, keys_of_weights

from tests.models.ofa.small import UNEVEN, build
from tests.models.vl.golden import Case, cases
from tests.models.vl.small import tiny

VARIANTS = [
    {},
    {"individual_vis_layer_norm": False, "encoder_layers": 2},
    {"use_vis_layer_norm": False, "use_vis_order_embedding": False, "decoder_ffn_dim": 40},
    {"additional_visual_embedding_layers": 2, "n_images": 3},
]


@pytest.mark.parametrize("stock", [False, True])
@pytest.mark.parametrize("keys", VARIANTS)
@pytest.mark.parametrize("family", ["bart", "t5"])
def test_weights_tell_what_they_are_made_of(family, keys, stock):
    model = tiny(family, **keys)
    weights = model.stock_state_dict() if stock else model.state_dict()
    released = {f"module.{name}".replace("encoder.vis", "vis_encoder.vis"): value for name, value in weights.items()}
    for named in (weights, released) if stock else (weights,):
        assert are_vl_names(named)
        told = keys_of_weights(named)
        assert told == {key: value for key, value in model.config.to_dict().items() if key in told}
        assert {"model_type", "d_model", "vocab_size", "feat_dim", "encoder_layers"} <= told.keys()
        again = VLModel(config_of_weights(named))
        own = {name: value.shape for name, value in model.state_dict().items()}
        assert {name: value.shape for name, value in again.state_dict().items()} == own


@pytest.mark.parametrize("gate", [{}, {"gated_feed_forward": True}, {"tie_word_embeddings": False, "d_kv": 12}])
def test_what_only_some_t5_have_is_told(gate):
    model = tiny("t5", **gate)
    told = keys_of_weights(model.stock_state_dict())
    assert (
        told == {key: value for key, value in model.config.to_dict().items() if key in told}
        and gate.items()
        <= {
            "gated_feed_forward": told["gated_feed_forward"],
            "tie_word_embeddings": told["tie_word_embeddings"],
            "d_kv": told["d_kv"],
        }.items()
    )


@pytest.mark.parametrize("name", cases(adapters=False))
def test_the_original_codes_weights_tell_its_configuration(name):
    case = Case(name)
    told, config = keys_of_weights(case.weights), VLConfig(**case.config).to_dict()
    assert told == {key: config[key] for key in told}


def test_what_weights_do_not_tell_is_known_or_as_published():
    weights = VLModel(VLConfig.from_size("bart-tiny", d_model=128, vocab_size=300)).state_dict()
    assert config_of_weights(weights).decoder_attention_heads == 2
    known = config_of_weights(weights, {"decoder_attention_heads": 8, "dropout": 0.3, "d_model": 1000})
    assert (known.decoder_attention_heads, known.dropout, known.d_model) == (8, 0.3, 128)


def test_other_weights_are_not_taken_for_them():
    assert not are_vl_names(build(**UNEVEN).state_dict())
    assert not are_vl_names(["encoder.layer.0.attention.self.query.weight", "embeddings.word_embeddings.weight"])
    weights = {name: value for name, value in tiny().state_dict().items() if "fc1" not in name}
    with pytest.raises(UsageError, match="not the weights of a VL-T5 or VL-BART: the token table or a feed-forward"):
        keys_of_weights(weights)
    assert torch.is_tensor(weights["shared.weight"])
