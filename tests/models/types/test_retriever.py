"""Retrievers are built, written and read."""

from __future__ import annotations

import pytest
import torch
from ofakit.config.schema import ModelSection
from ofakit.errors import UsageError
from ofakit.models.types.retriever import RetrieverType, is_retriever

from tests.models.encoders.kinds import KINDS, TEXTS
from tests.models.test_retriever import BERT, embedded, made

KIND = RetrieverType()


@pytest.mark.parametrize(
    "config",
    [
        {"encoder": BERT},
        {"encoder": BERT, "passage_encoder": {**BERT, "projection": None, "pooling": "first"}, "tie": ["text"]},
        {"encoder": KINDS["towers"], "prompts": {"query": "q: "}, "logit_scale": 1.5},
        {"encoder": BERT, "passage_encoder": KINDS["ofa"]},
    ],
)
def test_what_is_written_is_read(config, tmp_path):
    model, readings = made(**config)
    KIND.save(model, readings, tmp_path / "model")
    again, read = KIND.load(tmp_path / "model")
    assert is_retriever(tmp_path / "model") and not again.training
    assert read.first_difference(readings) is None and again.settings == model.settings
    for side in ("query", "passage"):
        assert torch.equal(embedded(again, read, side), embedded(model, readings, side))
    assert again.fingerprint() == model.fingerprint()
    ties = [{id(p) for p in m.parameters()} for m in (again, model)]
    assert len(ties[0]) == len(ties[1])


def test_each_side_starts_from_its_own_checkpoint(shared):
    folder = str(shared / "golden" / "retrieval" / "tiny_bert" / "bert")
    spec = {"type": "hugging_face", "path": folder}
    model, _ = made(encoder=spec, passage_encoder={**spec, "path": folder, "pooling": "first"})
    assert model.settings.encoder.model_extra["path"] is None
    one, two = (model.encoder(side).transformer for side in ("query", "passage"))
    assert one is not two and torch.equal(next(one.parameters()), next(two.parameters()))


def test_weights_that_do_not_fit_are_named_and_taken_as_far_as_wanted(tmp_path):
    model, readings = made(encoder=BERT)
    KIND.save(model, readings, tmp_path / "model")
    other, _ = made(encoder={**BERT, "projection": 5})
    before = other.fingerprint()
    with pytest.raises(UsageError, match=r"missing: encoders.query.head.layers.0.weight; unexpected or of another"):
        KIND.load_weights(other, tmp_path / "model")
    assert other.fingerprint() == before
    missing, unexpected = KIND.load_weights(other, tmp_path / "model", allow_partial=True)
    assert missing == unexpected == ["encoders.query.head.layers.0.weight"]
    words = (m.encoder("query").transformer.get_input_embeddings().weight for m in (other, model))
    assert torch.equal(*words)
    with pytest.raises(UsageError, match="expected a retriever to load"):
        KIND.load_weights(torch.nn.Linear(1, 1), tmp_path / "model")


def test_a_snapshot_of_weights_is_loaded_too(tmp_path):
    model, _ = made(encoder=BERT, passage_encoder=BERT, tie=["embeddings"])
    torch.save(model.state_dict(), tmp_path / "pytorch_model.bin")
    other, _ = made(encoder=BERT, passage_encoder=BERT, tie=["embeddings"])
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.zero_()
    assert KIND.load_weights(other, tmp_path) == ([], [])
    assert other.fingerprint() == model.fingerprint()


def test_a_file_of_weights_starts_a_run(tmp_path):
    model, readings = made(encoder=BERT)
    model.save_pretrained(tmp_path)
    section = ModelSection(type="retriever", path=str(tmp_path / "model.safetensors"), config={"encoder": BERT})
    torch.manual_seed(9)
    assert KIND.build(section, KIND.tokenizer(section, TEXTS)).fingerprint() == model.fingerprint()


@pytest.mark.parametrize("kind", ["bottleneck", "lora", "hyperformer"])
@pytest.mark.parametrize("tied", [[], ["text"]])
def test_adapters_are_put_in_and_come_back(kind, tied, tmp_path):
    section = ModelSection(type="retriever", adapter={"type": kind})
    model, readings = made(encoder=BERT, passage_encoder=BERT, tie=tied)
    KIND.adapt(model, section)
    KIND.adapt(model, section)  # what is there already stays
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter) * 0.1)
    learns = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert {"logit_scale", "joint_weights", "encoders.query.head.layers.0.weight"} <= learns
    assert not any("word_embeddings" in name or name.endswith("query.weight") for name in learns)
    KIND.save(model.eval(), readings, tmp_path / "model")
    again, read = KIND.load(tmp_path / "model")
    for side in ("query", "passage"):
        assert torch.equal(embedded(again, read, side), embedded(model, readings, side))
    assert {name for name, p in again.named_parameters() if p.requires_grad} == learns
    with pytest.raises(UsageError, match="already has adapters that differ in layer_norms"):
        KIND.adapt(again, ModelSection(adapter={"type": kind, "layer_norms": kind == "lora"}))
