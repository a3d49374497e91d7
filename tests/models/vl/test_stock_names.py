"""Our names of tensors and those of the original code; the golden weights of test_model.py need every one."""

from __future__ import annotations

import pytest
from ofakit.models.vl import VLConfig
from ofakit.models.vl.stock_names import own_names, stock_name, tied_names

from tests.models.vl.small import tiny


@pytest.mark.parametrize("family", ["bart", "t5"])
def test_names_go_there_and_back(family):
    model = tiny(family)
    own = [name for name in model.state_dict() if "embed_tokens" not in name]
    stock = [stock_name(name, model.config) for name in own]
    assert len(set(stock)) == len(own)
    assert own_names(stock, own, model.config) == dict(zip(stock, own, strict=True))


def test_every_name_of_the_table_is_the_table():
    config = VLConfig(model_type="t5")
    names = own_names(tied_names(config), ["shared.weight"], config)
    assert set(names.values()) == {"shared.weight"} and len(names) == 5


def test_strangers_are_left_out():
    config = VLConfig()
    assert own_names(["model.encoder.layers.0.fc9.weight"], ["encoder.layers.0.fc1.weight"], config) == {}
