"""Queries and passages → vectors."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from ofakit.data.decoding import BadImage
from ofakit.data.passage import Passage
from ofakit.errors import UsageError
from ofakit.hub import RetrievalBundle
from ofakit.inference.embedder import Embedder

from tests.models.encoders.kinds import BERT as NETWORK
from tests.models.encoders.kinds import KINDS, items
from tests.models.test_retriever import made


def bundle_of(**config):
    model, readings = made(**config)
    return RetrievalBundle(model, readings, model_type="retriever")


@pytest.fixture(scope="module")
def towers():
    return bundle_of(encoder=KINDS["towers"])


def test_vectors_are_the_models_whatever_the_batch(towers):
    embedder = Embedder(towers, "passage", device="cpu")
    assert embedder.modalities == ("text", "image")
    together = embedder.embed(items())
    assert together.shape == (6, embedder.dimension) and together.dtype == np.float32
    alone = np.concatenate([embedder.embed([item]) for item in items()])
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_what_is_not_asked_for_is_not_even_decoded(towers):
    embedder = Embedder(towers, "passage", ["text"], device="cpu")
    found = embedder.embed([Passage("1", "a red flag", image="nowhere.png")])
    np.testing.assert_allclose(found, embedder.embed([Passage("1", "a red flag")]))


def test_a_broken_image_is_an_error_of_its_own_and_the_others_are_encoded(towers):
    embedder = Embedder(towers, "passage", device="cpu")
    broken = [*items()[:2], Passage("broken", "a", image="nowhere.png"), *items()[2:]]
    prepared = embedder.prepare(broken)
    assert [entry.error is None for entry in prepared] == [True, True, False, True, True, True, True]
    assert "nowhere.png" in prepared[2].error
    found = embedder.embed_prepared([entry for entry in prepared if entry.error is None])
    np.testing.assert_allclose(found, embedder.embed(items()))
    with pytest.raises(BadImage, match="nowhere.png"):
        embedder.embed(broken)


def test_lengths_are_those_of_the_tokens_that_are_read(towers):
    assert Embedder(towers, "query", ["image"], device="cpu").lengths(items()) == [1] * 6
    lengths = Embedder(bundle_of(encoder={**KINDS["bag"], "max_length": 6}), "query", device="cpu").lengths(items())
    assert max(lengths) == 6 and lengths[4] == 2


def test_the_fingerprint_follows_from_weights_side_and_reading(towers):
    base = Embedder(towers, "passage", device="cpu")
    assert base.fingerprint == Embedder(towers, "passage", ["text", "image"], device="cpu").fingerprint
    others = [Embedder(towers, "query", device="cpu"), Embedder(towers, "passage", ["text"], device="cpu")]
    changed = RetrievalBundle(towers.model, towers.tokenizer, model_type="retriever")
    changed.retrieval = changed.retrieval.model_copy(update={"title_separator": None})
    others.append(Embedder(changed, "passage", device="cpu"))
    assert len({base.fingerprint, *(other.fingerprint for other in others)}) == 4
    assert base.description["side"] == "passage" and base.description["modalities"] == ["text", "image"]


def test_the_model_itself_is_left_as_it_is(towers):
    towers.model.train()
    Embedder(towers, "passage", device="cpu").embed(items())
    assert towers.model.training and all(parameter.requires_grad for parameter in towers.model.parameters())
    towers.model.eval()


def test_half_precision_is_close(towers):
    bert = bundle_of(encoder={"type": "hugging_face", "config": NETWORK, "vocabulary_size": 300, "normalize": True})
    full, half = (Embedder(bert, "query", device="cpu", precision=p).embed(items()) for p in ("fp32", "bf16"))
    assert 0 < np.abs(full - half).max() < 0.05
    assert torch.tensor(half).norm(dim=1).numpy() == pytest.approx(np.ones(6), abs=1e-2)


def test_what_cannot_be_read_is_refused():
    with pytest.raises(UsageError, match="expected some of text to encode, found"):
        Embedder(bundle_of(encoder=KINDS["bag"]), "query", ["image"])
