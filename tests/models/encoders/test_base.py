"""What holds for every kind of encoder."""

from __future__ import annotations

import pytest
import torch
from ofakit.config.component import Component
from ofakit.errors import UsageError
from ofakit.models.encoders import ENCODERS
from ofakit.models.encoders.base import make_encoder, settings_of

from tests.models.encoders.kinds import KINDS, items, made


def choices(encoder):
    """Every set of modalities that an encoder can be asked for."""
    read = sorted(encoder.reads)
    return [(name,) for name in read] + ([tuple(read)] if len(read) > 1 else [])


def test_every_encoder_has_a_kind_here():
    reads_regions = {"vl"}  # tested in test_vl.py
    assert {spec["type"] for spec in KINDS.values()} | reads_regions == set(ENCODERS.names())


@pytest.mark.parametrize("name", KINDS)
def test_vectors_have_the_width_that_is_said_and_are_finite(name, tmp_path):
    encoder, inputs = made(name, tmp_path)
    batch = inputs.collate(inputs.samples(items()))
    with torch.no_grad():
        for modalities in choices(encoder):
            vectors = encoder.embed(batch, modalities)
            assert vectors.shape == (6, encoder.dimension(modalities)) and vectors.isfinite().all()


@pytest.mark.parametrize("name", KINDS)
def test_neither_padding_nor_neighbours_change_a_vector(name, tmp_path):
    encoder, inputs = made(name, tmp_path)
    samples = inputs.samples(items())
    with torch.no_grad():
        for modalities in choices(encoder):
            together = encoder.embed(inputs.collate(samples), modalities)
            alone = torch.cat([encoder.embed(inputs.collate([sample]), modalities) for sample in samples])
            torch.testing.assert_close(together, alone, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("name", KINDS)
def test_what_it_was_made_of_makes_the_same_network(name, tmp_path):
    encoder, inputs = made(name, tmp_path)
    inputs.reading.save(tmp_path / "saved")
    spec = Component(type=KINDS[name]["type"], **encoder.settings.model_dump(mode="json"))
    (tmp_path / "words").rename(tmp_path / "gone") if (tmp_path / "words").exists() else None
    reading = ENCODERS.get(spec.type).load_reading(settings_of(spec), tmp_path / "saved")
    again = make_encoder(spec, reading)
    again.load_state_dict(encoder.state_dict())
    batch = inputs.collate(inputs.samples(items()))
    with torch.no_grad():
        for modalities in choices(encoder):
            assert torch.equal(again.eval().embed(batch, modalities), encoder.embed(batch, modalities))
    assert again.settings == encoder.settings


@pytest.mark.parametrize("name", KINDS)
def test_parts_are_its_own_modules_and_frozen_ones_rest(name, tmp_path):
    encoder, inputs = made(name, tmp_path)
    own = {id(module) for module in encoder.modules()}
    for modules in encoder.parts().values():
        assert all(id(module) in own for module in modules)
        for module in modules:
            module.requires_grad_(False)
    before = {key: value.clone() for key, value in encoder.state_dict().items()}
    encoder.train()
    encoder.embed(inputs.collate(inputs.samples(items())), choices(encoder)[-1])
    assert all(torch.equal(value, before[key]) for key, value in encoder.state_dict().items())


@pytest.mark.parametrize("name", KINDS)
def test_gradients_reach_what_is_read(name, tmp_path):
    encoder, inputs = made(name, tmp_path)
    encoder.train()
    modalities = choices(encoder)[-1]
    batch = inputs.collate(inputs.samples(items()))
    (encoder.embed(batch, modalities) ** 2 * torch.randn(6, encoder.dimension(modalities))).sum().backward()
    moved = {part for part, modules in encoder.parts().items() for module in modules
             if any(p.grad is not None and p.grad.any() for p in module.parameters())}  # fmt: skip
    assert moved >= {"visual" if "image" in modalities else "embeddings"}


def test_an_unread_modality_is_refused(tmp_path):
    encoder, inputs = made("bag", tmp_path)
    batch = inputs.collate(inputs.samples(items()))
    with pytest.raises(UsageError, match=r"expected some of text to encode, found \['text', 'image'\]"):
        encoder.embed(batch, ("text", "image"))
    with pytest.raises(UsageError, match="expected some of text to encode"):
        encoder.embed(batch, ())


def test_an_unknown_encoder_or_key_is_named_with_the_nearest():
    with pytest.raises(UsageError, match="unknown encoder 'bags': did you mean 'bag'"):
        settings_of(Component(type="bags"))
    with pytest.raises(UsageError, match="unknown key 'widht': did you mean 'width'"):
        settings_of(Component(type="bag", widht=3))
