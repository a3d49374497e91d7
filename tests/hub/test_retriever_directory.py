"""Whatever gives vectors is read as a retriever."""

from __future__ import annotations

import pytest
from ofakit.errors import UsageError
from ofakit.hub import RetrievalBundle, load_retriever, save_bundle
from ofakit.hub.retriever_directory import is_retriever

from tests.models.encoders.kinds import KINDS
from tests.models.test_retriever import made


def test_directories_of_ours_of_sentence_transformers_and_of_hugging_face(shared, tmp_path):
    model, readings = made(encoder=KINDS["bag"])
    save_bundle(RetrievalBundle(model, readings, model_type="retriever"), tmp_path / "ours")
    assert load_retriever(tmp_path / "ours").model.fingerprint() == model.fingerprint()
    golden = shared / "golden" / "retrieval" / "tiny_bert"
    theirs = load_retriever(golden / "sentence_transformer").model.settings.encoder.model_extra
    plain = load_retriever(golden / "bert").model.settings.encoder.model_extra
    assert (theirs["normalize"], plain["normalize"], plain["pooling"]) == (True, False, "mean")


def test_a_retriever_is_known_and_says_what_it_is(shared, bundle, tmp_path):
    model, readings = made(encoder=KINDS["bag"])
    save_bundle(RetrievalBundle(model, readings, model_type="retriever"), tmp_path / "ours")
    save_bundle(bundle, tmp_path / "captioner")
    golden = shared / "golden" / "retrieval" / "tiny_bert"
    known = [tmp_path / "ours", golden / "sentence_transformer", golden / "bert", tmp_path / "captioner", tmp_path]
    assert list(map(is_retriever, known)) == [True, True, False, False, False]
    found = load_retriever(tmp_path / "ours").describe()
    assert found["sides"]["query"] == {
        "type": "bag",
        "reads": ["text"],
        "dimension": {"text": model.dimension("query", ["text"])},
    }
    assert found["parameters"] == sum(p.numel() for p in model.parameters())
    assert (found["searchers"], found["fitted"]) == (["bm25", "dense"], {})


def test_what_gives_no_vectors_is_refused(bundle, tmp_path):
    save_bundle(bundle, tmp_path / "captioner")
    with pytest.raises(
        UsageError, match='expected a retriever in .*, found one for image-captioning; start a retriever.*"type": "ofa"'
    ):
        load_retriever(tmp_path / "captioner")
    with pytest.raises(UsageError, match="no model directory"):
        load_retriever(tmp_path / "nothing")
