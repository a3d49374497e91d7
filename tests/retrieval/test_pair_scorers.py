"""Any model directory scores pairs: cross-encoders, matching and retrievers, each as it does by itself."""

from __future__ import annotations

import numpy as np
import pytest
from ofakit.data.passage import Passage
from ofakit.data.query import Query
from ofakit.errors import UsageError
from ofakit.hub import load_bundle, load_retriever, save_bundle
from ofakit.inference import CrossEncoder, Embedder, ImageTextMatcher
from ofakit.retrieval.pair_scorers import load_pair_scorer

from tests.inference.cross_encoders import save_cross_encoder
from tests.inference.test_embedder import bundle_of
from tests.models.encoders.kinds import KINDS, items
from tests.objectives.conftest import bundle, examples

__all__ = ["bundle", "examples"]

PASSAGES = [Passage("1", "b c", title="a"), Passage("2", "d"), Passage("3", None)]
QUERY = Query("q", "x y ?")


def test_a_cross_encoder_reads_question_and_titled_passage(tmp_path):
    folder = save_cross_encoder(tmp_path / "cross")
    pairs = [*((QUERY, passage) for passage in PASSAGES), (Query("mute", image="a.png"), PASSAGES[0])]
    scores = load_pair_scorer(folder, device="cpu")(pairs)
    encoder = CrossEncoder(folder, device="cpu")
    wanted = encoder.score([("x y ?", "a b c"), ("x y ?", "d")])
    np.testing.assert_allclose(scores[:2], wanted, atol=1e-6)
    assert np.isnan(scores[2:]).all() and scores.dtype == np.float32
    likely = load_pair_scorer(folder, probabilities=True, title_separator=None, device="cpu")(pairs)
    np.testing.assert_allclose(likely[:2], encoder.score([("x y ?", "b c"), ("x y ?", "d")], True), atol=1e-6)
    assert load_pair_scorer(folder, device="cpu")([]).shape == (0,)
    short = load_pair_scorer(folder, device="cpu", max_length=5)
    np.testing.assert_allclose(short(pairs)[1], CrossEncoder(folder, 5, device="cpu").score([("x y ?", "d")]))


def test_matching_takes_the_image_of_one_and_the_text_of_the_other(tmp_path, bundle, examples):
    bundle.objectives = ("itm",)
    folder = save_bundle(bundle, tmp_path / "itm")
    image = examples[0].image
    passage = Passage("p", "a red dog", title="Dogs", image=image)
    pairs = [
        (Query("image", image=image), Passage("text", "a red dog", title="Dogs")),
        (Query("text", "a cat"), passage),
        (Query("both", "a cat", image=image), passage),
        (Query("text", "a cat"), Passage("text", "a red dog")),
    ]
    likely = load_pair_scorer(folder, probabilities=True, device="cpu")(pairs)
    matcher = ImageTextMatcher(load_bundle(folder))
    wanted = matcher.score([(image, "Dogs a red dog"), (image, "a cat"), (image, "Dogs a red dog")])
    np.testing.assert_allclose(likely[:3], wanted, atol=1e-6)
    odds = load_pair_scorer(folder, device="cpu")(pairs)
    np.testing.assert_allclose(odds[:3], np.log(wanted / (1 - wanted)), atol=1e-4)
    assert np.isnan(likely[3]) and np.isnan(odds[3])


def test_a_retriever_gives_inner_products(tmp_path):
    folder = save_bundle(bundle_of(encoder=KINDS["bag"]), tmp_path / "retriever")
    queries = [Query("q1", "a red flag"), Query("q2", "the capital of the country")]
    passages = [passage for passage in items() if passage.text]
    scores = load_pair_scorer(folder, device="cpu")([(query, passage) for query in queries for passage in passages])
    loaded = load_retriever(folder)
    vectors = [
        Embedder(loaded, side, device="cpu").embed(some) for side, some in (("query", queries), ("passage", passages))
    ]
    np.testing.assert_allclose(scores, (vectors[0] @ vectors[1].T).ravel(), atol=1e-5)
    with pytest.raises(UsageError, match="is a retriever, whose inner products are not probabilities"):
        load_pair_scorer(folder, probabilities=True)
    with pytest.raises(UsageError, match="is not a cross-encoder; expected no max_length"):
        load_pair_scorer(folder, max_length=3)


def test_a_sentence_transformers_directory_is_a_retriever(shared):
    folder = shared / "golden/retrieval/tiny_bert/sentence_transformer"
    scores = load_pair_scorer(folder, device="cpu")([(Query("q", "a dog runs"), Passage("p", "a dog runs"))])
    assert scores.tolist() == pytest.approx([1.0], abs=1e-5)


def test_what_is_no_model_is_refused(tmp_path):
    with pytest.raises(UsageError, match="no sequence-classification model"):
        load_pair_scorer(tmp_path, device="cpu")
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(UsageError, match="config.json is not valid JSON"):
        load_pair_scorer(tmp_path, device="cpu")
