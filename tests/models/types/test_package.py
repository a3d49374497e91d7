"""A checkpoint is told by the names of its weights."""

from __future__ import annotations

import pytest
from ofakit.errors import UsageError
from ofakit.models.ofa import OFAConfig, OFAModel
from ofakit.models.types import recognised
from ofakit.models.vl import VLConfig, VLModel


def test_each_type_knows_its_own():
    keys = {"d_model": 32, "encoder_attention_heads": 2, "decoder_attention_heads": 2}
    vl = VLModel(VLConfig(model_type="bart", feat_dim=8, encoder_layers=1, decoder_layers=1, vocab_size=600, **keys))
    ofa = OFAModel(OFAConfig.from_size("tiny").replace(encoder_layers=1, decoder_layers=1))
    assert recognised(vl.state_dict().keys()) == "vl" and recognised(ofa.state_dict().keys()) == "ofa"


@pytest.mark.parametrize("side", ["encoder", "decoder"])
def test_an_ofa_without_layers_on_one_side_is_one(side):
    ofa = OFAModel(
        OFAConfig.from_size("tiny").replace(**{"encoder_layers": 1, "decoder_layers": 1, f"{side}_layers": 0})
    )
    assert recognised(ofa.state_dict().keys()) == "ofa"


def test_names_of_nothing_known_are_shown():
    with pytest.raises(UsageError, match="not the weights of a model known here .*: layer.bias, layer.weight"):
        recognised(["layer.weight", "layer.bias"])
