"""What counts as a layer."""

from __future__ import annotations

import pytest
from ofakit.models.repeated_layers import repeated_layers
from torch import nn

from tests.models.encoders.kinds import KINDS, made
from tests.models.ofa.small import build


def test_ofa_is_a_stack_of_encoder_and_decoder_layers_and_of_blocks():
    model = build(decoder_layers=3)
    found = repeated_layers(model)
    resnet = model.encoder.embed_images
    blocks = [block for stage in (resnet.layer1, resnet.layer2, resnet.layer3) for block in stage]
    assert found == [*blocks, *model.encoder.layers, *model.decoder.layers]


@pytest.mark.parametrize("kind", KINDS)
def test_every_encoder_has_some_but_a_bag_of_words(kind, tmp_path):
    found = repeated_layers(made(kind, tmp_path)[0])
    assert found or kind == "bag", kind
    inside = [id(inner) for layer in found for inner in layer.modules()]
    assert len(inside) == len(set(inside))  # none stands within another


def test_single_operations_and_lists_of_lists_are_no_layers():
    block = nn.TransformerEncoderLayer(4, 1, 4)
    stages = nn.Sequential(nn.Sequential(block, nn.TransformerEncoderLayer(4, 1, 4)), nn.Sequential(nn.Linear(4, 4)))
    assert repeated_layers(nn.Sequential(stages, nn.Linear(4, 4), nn.ReLU()))[0] is block
    assert repeated_layers(nn.ModuleList([nn.Embedding(3, 4), nn.Embedding(3, 4)])) == []
