"""Text, image or both find passages of an index, and only of one that fits."""

from __future__ import annotations

import numpy as np
import pytest
from ofakit.data.knowledge_base import KnowledgeBase
from ofakit.data.query import Query
from ofakit.demo.passage_search import PassageSearch
from ofakit.errors import UsageError
from ofakit.inference import Embedder
from ofakit.retrieval import load_index

from tests.demo.made import encoded, passage_search, retriever


def test_each_way_finds_what_the_index_finds(tmp_path):
    bundle = retriever()
    folder, base = encoded(tmp_path, bundle)
    index = load_index(folder)
    search = PassageSearch(bundle, {"base": index}, {"base": base}, "cpu")
    assert search.ways("base") == [("text",), ("image",), ("text", "image")]
    assert search.image_size == 32
    pixels = np.random.default_rng(0).integers(0, 255, (32, 32, 3), dtype=np.uint8)
    query = Query("q", text="a blue flag", image=pixels)
    for way in search.ways("base"):
        [hits] = search.search([query], "base", way, 2)
        scores, ids = index.search(Embedder(bundle, "query", way, "cpu").embed([query]), 2)
        assert [hit.passage.id for hit in hits] == ids[0].tolist()
        assert [hit.score for hit in hits] == pytest.approx(scores[0].tolist(), abs=1e-5)
        assert hits[0].score >= hits[1].score


def test_only_ways_of_the_width_of_the_index(tmp_path):
    search = passage_search(tmp_path / "text", "towers", modalities=["text"])
    assert search.ways("base") == [("text",)]
    search = passage_search(tmp_path / "image", "towers", modalities=["image"])
    assert search.ways("base") == [("image",)]
    assert passage_search(tmp_path / "bag", "bag").image_size is None


def test_an_index_of_another_encoder_is_refused(tmp_path):
    folder, base = encoded(tmp_path, retriever("bag"), modalities=["text"])
    with pytest.raises(UsageError, match="made by another encoder: expected the fingerprint"):
        PassageSearch(retriever(), {"base": load_index(folder)}, {"base": base}, "cpu")


def test_a_base_that_lacks_a_passage_is_refused(tmp_path):
    bundle = retriever()
    folder, base = encoded(tmp_path, bundle)
    less = KnowledgeBase(base.passages[:-1])
    with pytest.raises(
        UsageError, match="contains the passage 'p-green', which is not among the 2 passages .* --passages"
    ):
        PassageSearch(bundle, {"base": load_index(folder)}, {"base": less}, "cpu")
