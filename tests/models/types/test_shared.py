"""Directories of what several tasks share: written, read, and refused where they do not fit."""

from __future__ import annotations

import json

import pytest
import torch
from ofakit.config.schema import ModelSection
from ofakit.errors import UsageError
from ofakit.models.types import MODELS
from safetensors.torch import load_file, save_file

from tests.models.test_shared_model import KEYS, shared_model, texts


@pytest.fixture
def kind():
    return MODELS.build({"type": "shared"})


@pytest.mark.parametrize("network", ["vl", "ofa"])
def test_a_directory_is_read_back(kind, network, tmp_path):
    model, tokenizer = shared_model(network)
    kind.save(model, tokenizer, tmp_path)
    again, read = kind.load(tmp_path)
    assert read.first_difference(tokenizer) is None and kind.read_tokenizer(tmp_path).first_difference(read) is None
    expected, found = model.own_state(), again.own_state()
    assert expected.keys() == found.keys() and all(torch.equal(expected[key], found[key]) for key in expected)
    with torch.no_grad():
        vectors = [own.for_task("search").embed("query", texts(own), ["text"]) for own in (model, again)]
    assert torch.equal(*vectors) and not again.training
    alone, _ = MODELS.build({"type": network}).load(tmp_path)
    assert torch.equal(alone.output_embedding, model.network.output_embedding)


def test_a_directory_says_its_network_and_the_size_of_its_retrievers(kind, tmp_path):
    model, tokenizer = shared_model()
    kind.save(model, tokenizer, tmp_path)
    found = kind.describe(tmp_path)
    assert found["network"] == "vl" and found["config"]["d_model"] == 32
    assert found["retrievers"] == {"search": sum(value.numel() for value in model.heads().values())}
    assert found["retrievers"]["search"] > 0


def test_weights_of_a_directory_and_of_a_snapshot_are_taken(kind, tmp_path):
    model, tokenizer = shared_model()
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(1)
    kind.save(model, tokenizer, tmp_path / "directory")
    save_file({name: value.contiguous() for name, value in model.own_state().items()}, tmp_path / "model.safetensors")
    for path in (tmp_path / "directory", tmp_path / "model.safetensors"):
        other, _ = shared_model()
        assert kind.load_weights(other, path) == ([], [])
        assert all(torch.equal(value, model.own_state()[name]) for name, value in other.own_state().items())


def test_weights_that_do_not_fit_change_nothing(kind, tmp_path):
    model, tokenizer = shared_model(keys={**KEYS, "encoder": {**KEYS["encoder"], "projection": 7}})
    kind.save(model, tokenizer, tmp_path)
    other, _ = shared_model()
    before = {name: value.clone() for name, value in other.own_state().items()}
    with pytest.raises(UsageError, match=r"does not fit the model: missing: retrievers\.search\.encoders\.query\.head"):
        kind.load_weights(other, tmp_path)
    assert all(torch.equal(value, before[name]) for name, value in other.own_state().items())
    missing, unexpected = kind.load_weights(other, tmp_path, allow_partial=True)
    assert len(missing) == len(unexpected) == 1


def test_a_damaged_directory_and_what_is_none_are_refused(kind, tmp_path):
    model, tokenizer = shared_model()
    kind.save(model, tokenizer, tmp_path)
    heads = load_file(tmp_path / "heads.safetensors")
    save_file({name: value for name, value in heads.items() if "head" not in name}, tmp_path / "heads.safetensors")
    with pytest.raises(UsageError, match="does not fit the model: missing: retrievers"):
        kind.load(tmp_path)
    (tmp_path / "shared.json").write_text(json.dumps({"network": "vll", "retrievers": {}}), encoding="utf-8")
    with pytest.raises(UsageError, match="unknown model 'vll': did you mean 'vl'"):
        kind.load(tmp_path)
    (tmp_path / "shared.json").write_text("[]", encoding="utf-8")
    with pytest.raises(UsageError, match="expected what tasks share, found"):
        kind.load(tmp_path)
    (tmp_path / "shared.json").unlink()
    with pytest.raises(UsageError, match=r"shared\.json"):
        kind.load(tmp_path)


def test_no_configuration_names_it(kind):
    section = ModelSection(type="shared")
    with pytest.raises(UsageError, match="model.type 'shared' is what a run of several tasks writes"):
        kind.tokenizer(section, ())
    with pytest.raises(UsageError, match="model.type 'shared' is what a run of several tasks writes"):
        kind.build(section, None)
    with pytest.raises(UsageError, match="expected a model that several tasks share, found a Linear"):
        kind.train_as(torch.nn.Linear(1, 1), section)
