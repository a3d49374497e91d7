"""Two encoders under one roof: shared, tied or apart."""

from __future__ import annotations

import pytest
import torch
from ofakit.config.load import checked
from ofakit.config.schema import ModelSection
from ofakit.errors import UsageError
from ofakit.models.retriever import Readings, Retriever, RetrieverSettings
from ofakit.models.types.retriever import RetrieverType

from tests.models.encoders.kinds import KINDS, SMALL_BERT, TEXTS, items

BERT = {**SMALL_BERT, "projection": 8}


def made(**config):
    section = ModelSection(type="retriever", config=config)
    readings = RetrieverType().tokenizer(section, TEXTS)
    torch.manual_seed(0)
    return RetrieverType().build(section, readings).eval(), readings


def batch_of(readings, side):
    from ofakit.preprocessors.sides import SideInputs

    inputs = SideInputs(readings[side])
    return inputs.collate(inputs.samples(items()))


def embedded(model, readings, side, modalities=("text",)):
    with torch.no_grad():
        return model.embed(side, batch_of(readings, side), modalities)


def test_one_encoder_serves_both_sides():
    model, readings = made(encoder=BERT)
    assert model.encoder("query") is model.encoder("passage") and readings["query"] is readings["passage"]
    assert torch.equal(embedded(model, readings, "query"), embedded(model, readings, "passage"))
    assert not any(name.startswith("encoders.passage") for name in model.own_state())
    assert model.dimension("query", ("text",)) == 8


def test_sides_apart_share_nothing():
    model, readings = made(encoder=BERT, passage_encoder=BERT)
    pairs = zip(model.encoder("query").parameters(), model.encoder("passage").parameters(), strict=True)
    assert not any(ours is theirs for ours, theirs in pairs)
    assert not torch.allclose(embedded(model, readings, "query"), embedded(model, readings, "passage"))


@pytest.mark.parametrize("part", ["embeddings", "projection", "text"])
def test_tied_parts_are_learnt_together_and_others_apart(part):
    model, readings = made(encoder=BERT, passage_encoder=BERT, tie=[part])
    own, theirs = (model.encoder(side).parts()[part][0] for side in ("query", "passage"))
    assert all(a is b for a, b in zip(own.parameters(), theirs.parameters(), strict=True))
    everything = [{id(p) for p in model.encoder(side).parameters()} for side in ("query", "passage")]
    assert everything[0] ^ everything[1]
    embedded_passages = model.train().embed("passage", batch_of(readings, "passage"), ("text",))
    (embedded_passages * torch.randn(embedded_passages.shape)).sum().backward()
    assert any(p.grad is not None and p.grad.any() for p in own.parameters())


def test_tied_statistics_are_one():
    model, readings = made(encoder=KINDS["timm"], passage_encoder=KINDS["timm"], tie=["visual"])
    before = model.encoder("query").backbone.state_dict()["bn1.running_mean"].clone()
    model.train().embed("passage", batch_of(readings, "passage"), ("image",))
    assert not torch.equal(model.encoder("query").backbone.state_dict()["bn1.running_mean"], before)


@pytest.mark.parametrize(("tie", "message"), [
    (["visual"], "cannot tie 'visual': not both encoders have it: available: embeddings, projection"),
    (["projection"], "cannot tie 'projection': its size differs between the encoders"),
])  # fmt: skip
def test_what_cannot_be_tied_is_refused(tie, message):
    with pytest.raises(UsageError, match=message):
        made(encoder=BERT, passage_encoder={**BERT, "projection": 4}, tie=tie)


def test_every_weight_is_counted_once_and_changes_the_fingerprint():
    model, _ = made(encoder=BERT, passage_encoder=BERT, tie=["embeddings"])
    state = model.own_state()
    assert {id(p) for p in model.parameters()} == {id(dict(model.named_parameters(remove_duplicate=False))[n]) for n in
                                                   state if n in dict(model.named_parameters())}  # fmt: skip
    first = model.fingerprint()
    assert first == made(encoder=BERT, passage_encoder=BERT, tie=["embeddings"])[0].fingerprint()
    with torch.no_grad():
        model.encoder("passage").head.layers[0].weight[0, 0] += 1e-3
    assert model.fingerprint() != first


def test_parts_of_both_sides_are_frozen_under_one_name():
    model, _ = made(encoder=BERT, passage_encoder=BERT)
    model.freeze(["embeddings"])
    for side in ("query", "passage"):
        assert not model.encoder(side).transformer.get_input_embeddings().weight.requires_grad
    model.freeze(["query"])
    frozen = {side: not any(p.requires_grad for p in model.encoder(side).parameters()) for side in ("query", "passage")}
    assert frozen == {"query": True, "passage": False}


def test_readings_differ_where_texts_become_other_ids():
    _, readings = made(encoder=BERT, passage_encoder={**BERT, "max_length": 9})
    assert readings.first_difference(readings) is None
    other = Readings(query=readings["query"], passage=readings["query"])
    assert readings.first_difference(other) == "passage"


def test_an_unknown_side_or_key_is_named():
    model, readings = made(encoder=BERT)
    with pytest.raises(UsageError, match="unknown side 'pasage': did you mean 'passage'"):
        model.embed("pasage", {}, ("text",))
    with pytest.raises(UsageError, match="unknown key 'encoders': did you mean 'encoder'"):
        made(encoder=BERT, encoders={})
    assert isinstance(Retriever(checked(RetrieverSettings, {"encoder": BERT}), readings), Retriever)
