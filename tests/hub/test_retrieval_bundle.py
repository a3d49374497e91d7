"""A retriever's directory keeps how its base is searched and what was fitted."""

from __future__ import annotations

import json

import pytest
import torch
from ofakit.config.retrieval import RetrievalSection
from ofakit.errors import UsageError
from ofakit.hub import RetrievalBundle, load_bundle, save_bundle

from tests.models.encoders.kinds import KINDS
from tests.models.test_retriever import embedded, made


@pytest.fixture
def bundle():
    model, readings = made(encoder=KINDS["towers"])
    section = RetrievalSection(depth=7, title_separator=" [SEP] ", searchers={"words": {"type": "bm25", "k1": 0.4}})
    return RetrievalBundle(model, readings, section, {"fused": {"words": 0.2}}, model_type="retriever")


def test_a_directory_comes_back_as_it_was(bundle, tmp_path):
    save_bundle(bundle, tmp_path / "model", {"scores": {"map": 0.5}})
    found = load_bundle(tmp_path / "model")
    assert isinstance(found, RetrievalBundle)
    assert (found.retrieval, found.fitted, found.model_type) == (bundle.retrieval, bundle.fitted, "retriever")
    ours, theirs = (embedded(b.model, b.tokenizer, "query", ("text", "image")) for b in (found, bundle))
    assert torch.equal(ours, theirs)


def test_modelscope_is_told_what_reads_it(bundle, tmp_path):
    save_bundle(bundle, tmp_path / "model")
    said = json.loads((tmp_path / "model" / "configuration.json").read_text())
    assert (said["task"], said["pipeline"]["type"]) == ("multi-modal-embedding", "ofakit-embedding")
    assert said["model"]["type"] == "ofakit-retriever"


def test_weights_of_another_vocabulary_are_refused(bundle, tmp_path):
    save_bundle(bundle, tmp_path / "model")
    other = {**KINDS["towers"], "text": {**KINDS["towers"]["text"], "max_length": 9}}
    model, readings = made(encoder=other)
    with pytest.raises(UsageError, match="expected a checkpoint with this run's vocabulary"):
        RetrievalBundle(model, readings, model_type="retriever").take_weights(tmp_path / "model")
    bundle.take_weights(tmp_path / "model")


def test_a_captioner_is_no_retriever(bundle):
    from ofakit.models.base import Model

    class Writer(Model):
        parts = save_pretrained = None

    with pytest.raises(UsageError, match="a model of type 'ofa' is not a retriever; set model.type to retriever"):
        RetrievalBundle(Writer(), bundle.tokenizer)
