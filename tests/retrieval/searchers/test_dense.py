"""Search by vectors, of passages and of articles."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from ofakit.config.retrieval import IndexSection, RetrievalSection
from ofakit.data.knowledge_base import KnowledgeBase
from ofakit.data.passage import Passage
from ofakit.data.query import Query
from ofakit.errors import UsageError
from ofakit.hub import RetrievalBundle, save_bundle
from ofakit.inference.embedder import Embedder
from ofakit.retrieval import vector_search
from ofakit.retrieval.index_building import write_index
from ofakit.retrieval.searchers import SEARCHERS
from ofakit.retrieval.searchers.base import SearchContext
from ofakit.retrieval.searchers.dense import Dense
from ofakit.retrieval.vector_search import embed_all

from tests.models.encoders.kinds import KINDS
from tests.models.test_retriever import made

IMAGES = np.random.default_rng(0).integers(0, 256, (4, 40, 40, 3)).astype(np.uint8)
BASE = KnowledgeBase([
    Passage("a0", "a red flag", image=IMAGES[0], article="a"),
    Passage("a1", "the capital", image=IMAGES[0], article="a"),
    Passage("b0", "a blue flag", image=IMAGES[1], article="b"), Passage("c0", "a star", article="c"),
])  # fmt: skip


@pytest.fixture(scope="module")
def bundle():
    model, readings = made(encoder=KINDS["towers"])
    return RetrievalBundle(model, readings, model_type="retriever")


def prepared(bundle, section=None, **keys):
    searcher = SEARCHERS.build({"type": "dense", **keys})
    searcher.prepare(BASE, SearchContext(section or RetrievalSection(), bundle))
    return searcher


def test_the_passage_that_is_asked_for_comes_first(bundle):
    queries = [Query(p.id, p.text) for p in BASE]
    run = prepared(bundle, query=["text"], passage=["text"], metric="cosine").search(queries, 4)
    assert [run.ranking(query.id)[0] for query in queries] == [p.id for p in BASE]
    assert all(len(run.ranking(query.id)) == 4 for query in queries)
    assert run["a0"]["a0"] == pytest.approx(1, abs=1e-5)


def test_images_hit_articles_whose_passages_follow(bundle):
    run = prepared(bundle, query=["image"], passage=["image"], unit="article", metric="l2").search(
        [Query("q", image=IMAGES[0]), Query("r", image=IMAGES[1])], 10
    )
    assert run.ranking("q") == ["a0", "a1", "b0"] and run.ranking("r") == ["b0", "a0", "a1"]
    assert prepared(bundle, query=["image"], passage=["image"], unit="article").search([Query("q", image=IMAGES[0])], 1)


def test_a_query_without_what_is_searched_by_finds_nothing(bundle):
    queries = [Query("text", "a flag"), Query("image", image=IMAGES[2]), Query("none")]
    run = prepared(bundle, query=["text"], passage=["text"]).search(queries, 2)
    assert [len(run.ranking(query.id)) for query in queries] == [2, 0, 0]
    both = prepared(bundle).search(queries, 2)
    assert [len(both.ranking(query.id)) for query in queries] == [2, 2, 0]
    assert len(prepared(bundle).search([], 2)) == 0


def test_a_broken_image_of_a_query_leaves_the_others_their_rankings(bundle):
    queries = [Query("broken", image="nowhere.png"), Query("whole", image=IMAGES[1])]
    run = prepared(bundle, query=["image"], passage=["image"], unit="article").search(queries, 3)
    assert not run.ranking("broken") and len(run.ranking("whole")) == 3


def test_an_encoder_of_its_own_needs_no_model_of_the_experiment(bundle, tmp_path):
    save_bundle(bundle, tmp_path / "model")
    own = SEARCHERS.build({"type": "dense", "encoder": str(tmp_path / "model")})
    own.prepare(BASE, SearchContext())
    queries = [Query("q", "a red flag", IMAGES[1])]
    assert own.search(queries, 4)["q"] == prepared(bundle).search(queries, 4)["q"]
    assert not own.learns and prepared(bundle).learns


def test_a_base_is_encoded_once_for_the_same_weights(bundle, monkeypatch):
    searcher = SEARCHERS.build({"type": "dense", "query": ["text"], "passage": ["text"]})
    encoded = []
    monkeypatch.setattr(
        vector_search, "embed_all", lambda *args: encoded.append(args[0].fingerprint) or embed_all(*args)
    )
    context = SearchContext(bundle=RetrievalBundle(*made(encoder=KINDS["towers"]), model_type="retriever"))
    for _ in range(2):
        searcher.prepare(BASE, context)
    with torch.no_grad():
        next(context.bundle.model.parameters()).add_(1)
    searcher.prepare(BASE, context)
    searcher.prepare(KnowledgeBase(list(BASE)), context)
    assert len(encoded) == 3 and len(set(encoded)) == 2


def test_the_metric_is_the_configurations_unless_it_has_its_own(bundle):
    section = RetrievalSection(index=IndexSection(metric="l2"))
    queries = [Query("q", "a star")]
    found = prepared(bundle, section, query=["text"], passage=["text"]).search(queries, 1)["q"]
    assert found["c0"] == pytest.approx(0, abs=1e-5)
    assert isinstance(prepared(bundle), Dense)


@pytest.mark.parametrize("unit", ["passage", "article"])
def test_an_engine_finds_what_exact_search_finds(bundle, unit):
    queries = [Query("q", image=IMAGES[1]), Query("r", image=IMAGES[0]), Query("none")]
    keys = {"query": ["image"], "passage": ["image"], "unit": unit}
    exact = prepared(bundle, **keys).search(queries, 3)
    through = prepared(bundle, RetrievalSection(index=IndexSection(engine="faiss")), **keys).search(queries, 3)
    for query in ("q", "r", "none"):
        assert through.ranking(query) == exact.ranking(query)
        assert through[query] == pytest.approx(exact[query], abs=1e-5)


def test_passages_that_were_encoded_before_are_searched(bundle, tmp_path):
    embedder = Embedder(bundle, "passage", ["text"], device="cpu")
    order = [BASE[3], BASE[0], BASE[2]]
    vectors = embedder.embed(order)
    write_index(tmp_path / "base", vectors, [p.id for p in order], fingerprint=embedder.fingerprint, metric="cosine")
    keys = {"query": ["text"], "passage": ["text"], "metric": "cosine"}
    run = prepared(bundle, index=str(tmp_path / "base"), **keys).search([Query("q", "a blue flag")], 9)
    assert run.ranking("q")[0] == "b0" and set(run["q"]) == {"c0", "a0", "b0"}
    with pytest.raises(
        UsageError, match="was made by another encoder: expected the fingerprint .* metric: expected 'l2'"
    ):
        prepared(bundle, index=str(tmp_path / "base"), **{**keys, "metric": "l2"})
    with pytest.raises(UsageError, match="was made by another encoder: expected the fingerprint"):
        prepared(bundle, index=str(tmp_path / "base"), query=["image"], passage=["image"], metric="cosine")
    write_index(tmp_path / "strange", vectors, ["c0", "a0", "zz"], fingerprint=embedder.fingerprint, metric="cosine")
    strange = prepared(bundle, index=str(tmp_path / "strange"), **keys)
    with pytest.raises(UsageError, match="no passage 'zz' among the 4 of the knowledge base"):
        strange.search([Query("q", "a blue flag")], 9)


def test_an_index_of_another_encoder_says_what_differs(bundle, tmp_path):
    embedder = Embedder(bundle, "passage", ["text"], device="cpu")
    made_by = {"fingerprint": "f00", "encoder": {**embedder.description, "title_separator": None}}
    write_index(tmp_path / "base", embedder.embed(list(BASE)), [p.id for p in BASE], **made_by)
    with pytest.raises(UsageError, match="found f00; title_separator: expected ' ', found None"):
        prepared(bundle, index=str(tmp_path / "base"), query=["text"], passage=["text"])


def test_what_is_empty_is_left_out_and_counted(bundle, caplog):
    base = KnowledgeBase([*BASE, Passage("d0", " ", article="d"), Passage("e0", "", image=IMAGES[2], article="e")])
    searcher = SEARCHERS.build({"type": "dense", "query": ["text"], "passage": ["text"]})
    searcher.prepare(base, SearchContext(bundle=bundle))
    assert "2 of 6 passages have no text, such as 'd0'; they are never found" in caplog.text
    run = searcher.search([Query("q", "a star"), Query("r", " ")], 9)
    assert set(run["q"]) == {"a0", "a1", "b0", "c0"} and not run.get("r")


def test_what_cannot_be_searched_is_refused(bundle):
    with pytest.raises(UsageError, match="a dense searcher needs a retriever"):
        SEARCHERS.build({"type": "dense"}).prepare(BASE, SearchContext())
    with pytest.raises(
        UsageError, match="expected vectors of the same width for queries of text and passages of image"
    ):
        prepared(bundle, query=["text"], passage=["image"])
    words = KnowledgeBase([Passage("1", "only text")])
    with pytest.raises(UsageError, match="no passage of the knowledge base has image to search by"):
        searcher = SEARCHERS.build({"type": "dense", "query": ["image"], "passage": ["image"], "unit": "article"})
        searcher.prepare(words, SearchContext(bundle=bundle))
