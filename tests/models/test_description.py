"""What a network is said to be made of: counted once, by parts, with its adapters."""

from __future__ import annotations

import pytest
import torch
from ofakit.models.adapters import trainable_share
from ofakit.models.description import counted, described
from ofakit.models.ofa.model import OFAModel
from ofakit.models.vl import VLModel

from tests.models.ofa.small import UNEVEN, build
from tests.models.vl.small import tiny

LORA = {"type": "lora", "rank": 2}


def size(modules):
    return sum(p.numel() for p in {id(p): p for module in modules for p in module.parameters()}.values())


@pytest.mark.parametrize("network", [lambda: build(**UNEVEN), tiny, lambda: tiny("t5")], ids=["ofa", "bart", "t5"])
def test_parameters_are_counted_once_in_all_and_in_every_part(network):
    model = network()
    found = described(type(model), model.config, {"a": torch.zeros(2), "b": torch.zeros(3, dtype=torch.int64)})
    assert found["parameters"] == size([model]) and found["adapter"] is None
    assert found["parts"] == {name: size(modules) for name, modules in model.parts().items()}
    assert found["unknown"] == {"tensors": 2, "names": "a, b"} and found["trainable_share"] is None
    assert found["tensors"] == 2 and found["dtypes"] == ["float32", "int64"]
    assert found["config"] == model.config.to_dict()


@pytest.mark.parametrize("kind", [OFAModel, VLModel])
def test_adapters_are_a_part_of_their_own(kind):
    plain = build(**UNEVEN) if kind is OFAModel else tiny()
    with_adapters = kind(plain.config.replace(adapter=LORA))
    found = described(kind, with_adapters.config, with_adapters.state_dict())
    assert found["adapter"]["rank"] == 2 and found["parameters"] == size([with_adapters])
    assert found["trainable_share"] == trainable_share(with_adapters) and "unknown" not in found
    assert found["parts"]["adapter"] == size([with_adapters]) - size([plain]) > 0


def test_statistics_and_integers_of_a_checkpoint_are_no_parameters():
    weights = {"a.weight": torch.zeros(2, 3), "a.running_mean": torch.zeros(3), "a.ids": torch.zeros(4).long()}
    assert counted(weights) == {"parameters": 6, "tensors": 3, "dtypes": ["float32", "int64"]}


def test_nothing_is_allocated():
    made = []

    def make(config):
        made.append(VLModel(config))
        return made[-1]

    described(make, tiny().config, {})
    assert all(parameter.is_meta for model in made for parameter in model.parameters())
