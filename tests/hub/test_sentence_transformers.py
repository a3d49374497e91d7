"""What is written for sentence-transformers gives the same vectors there."""

from __future__ import annotations

import pytest
import torch
from ofakit.data.passage import Passage
from ofakit.errors import UsageError
from ofakit.hub import RetrievalBundle, load_retriever
from ofakit.hub.sentence_transformers import export_sentence_transformer
from ofakit.inference import Embedder

from tests.models.encoders.kinds import KINDS, SMALL_BERT
from tests.models.test_retriever import made

peer = pytest.importorskip("sentence_transformers")
TEXTS = ["a red flag with a star", "the capital", "zebra zebra"]
LAYERS = [{"width": 12, "activation": "tanh"}, {"width": 6, "bias": False}]


def bundle_of(**config):
    model, readings = made(**config)
    return RetrievalBundle(model, readings, model_type="retriever")


@pytest.mark.parametrize("keys", [
    {"normalize": True}, {"pooling": "first"}, {"pooling": "max", "projection": 5}, {"pooling": "last"},
    {"pooling": "mean_sqrt", "projection": LAYERS, "normalize": True, "max_length": 6},
])  # fmt: skip
def test_vectors_are_the_same_there_and_when_read_again(keys, tmp_path):
    bundle = bundle_of(encoder={**SMALL_BERT, **keys})
    folder = export_sentence_transformer(bundle, tmp_path / "out")
    items = [Passage(text, text) for text in TEXTS]
    ours = torch.tensor(Embedder(bundle, "passage", device="cpu").embed(items))
    theirs = torch.tensor(peer.SentenceTransformer(str(folder), device="cpu").encode(TEXTS))
    torch.testing.assert_close(theirs, ours, atol=1e-5, rtol=1e-5)
    again = torch.tensor(Embedder(load_retriever(folder), "passage", device="cpu").embed(items))
    torch.testing.assert_close(again, ours, atol=1e-6, rtol=1e-6)


def test_each_side_is_written_with_the_prompts_of_both(tmp_path):
    bundle = bundle_of(
        encoder=SMALL_BERT, passage_encoder=SMALL_BERT, prompts={"query": "what ", "passage": "the capital "}
    )
    for side, name in (("query", "encode_query"), ("passage", "encode_document")):
        folder = export_sentence_transformer(bundle, tmp_path / side, side)
        theirs = getattr(peer.SentenceTransformer(str(folder), device="cpu"), name)(TEXTS)
        ours = Embedder(bundle, side, device="cpu").embed([Passage(text, text) for text in TEXTS])
        torch.testing.assert_close(torch.tensor(theirs), torch.tensor(ours), atol=1e-5, rtol=1e-5)


def test_what_sentence_transformers_cannot_read_is_refused(tmp_path):
    with pytest.raises(UsageError, match="reads encoders of type hugging_face only, found 'towers'"):
        export_sentence_transformer(bundle_of(encoder=KINDS["towers"]), tmp_path / "out")
    with pytest.raises(UsageError, match="has no pooling 'concat'; it has first, mean"):
        export_sentence_transformer(bundle_of(encoder=KINDS["bert"]), tmp_path / "out")
    assert not (tmp_path / "out").exists()
