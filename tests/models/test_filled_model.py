"""Models for the weights of a checkpoint: nothing is drawn that is overwritten, and nothing is left unset."""

from __future__ import annotations

import pytest
import torch
from ofakit.models.encoders.base import make_encoder
from ofakit.models.filled_model import filled
from ofakit.models.ofa import OFAModel
from ofakit.models.vl import VLModel
from torch import nn

from tests.models.encoders.kinds import component, made
from tests.models.ofa.small import build
from tests.models.vl.small import tiny

MODELS = {
    "ofa": (OFAModel, lambda: build().eval()),
    "ofa that sees through timm": (
        OFAModel, lambda: build(backbone={"name": "test_vit", "options": {"img_size": 64}}).eval(),
    ),
    "vl-bart": (VLModel, tiny),
    "vl-t5": (VLModel, lambda: tiny("t5")),
    "vl-bart with adapters": (VLModel, lambda: tiny(adapter={"type": "lora", "rank": 2})),
}  # fmt: skip


@pytest.mark.parametrize("name", MODELS)
def test_a_directory_is_read_as_it_was_saved_and_the_generator_is_left_alone(name, tmp_path):
    kind, make = MODELS[name]
    model = make()
    model.save_pretrained(tmp_path)
    state = torch.get_rng_state()
    again = kind.from_pretrained(tmp_path)
    assert torch.equal(torch.get_rng_state(), state), "nothing was drawn"
    expected, found = model.state_dict(), again.state_dict()
    assert expected.keys() == found.keys() and all(torch.equal(expected[key], found[key]) for key in expected)


def test_what_a_checkpoint_lacks_is_drawn(tmp_path):
    whole = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    part = {key: value for key, value in whole.state_dict().items() if not key.startswith("1.")}

    def make():
        return nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))

    torch.manual_seed(3)
    usual = make()
    torch.manual_seed(3)
    found = filled(make, lambda model: model.load_state_dict(part, strict=False))
    assert torch.equal(found[0].weight, whole[0].weight) and torch.equal(found[1].weight, usual[1].weight)
    assert found[1].weight.abs().max() <= 0.5


def test_the_projection_of_a_model_that_never_saw_an_image_is_drawn(tmp_path):
    model = tiny()
    model.save_pretrained(tmp_path)
    weights = {k: v for k, v in model.stock_state_dict().items() if "visual_embedding" not in k}
    (tmp_path / "model.safetensors").unlink()
    torch.save(weights, tmp_path / "pytorch_model.bin")
    again = VLModel.from_pretrained(tmp_path)
    projection = again.encoder.visual_embedding.feat_embedding[0].weight
    assert 0.005 < projection.std() < 0.05 and torch.equal(again.shared.weight, model.shared.weight)


@pytest.mark.parametrize("name", ["bert", "ofa", "timm", "clip"])
def test_encoders_made_without_draws_have_the_weights_that_are_put_into_them(name, tmp_path):
    encoder, side = made(name, tmp_path)
    spec = component(name, tmp_path).model_copy(update=encoder.settings.model_dump(mode="json"))
    state = torch.get_rng_state()
    again = filled(lambda: make_encoder(spec, side.reading), lambda model: model.load_state_dict(encoder.state_dict()))
    expected, found = encoder.state_dict(), again.state_dict()
    assert all(torch.equal(expected[key], found[key]) for key in expected)
    draws_otherwise = {"timm", "clip"}  # in part, such as through torch.randn
    assert name in draws_otherwise or torch.equal(torch.get_rng_state(), state)
