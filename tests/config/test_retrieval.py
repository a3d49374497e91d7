"""The sections below `retrieval`."""

from __future__ import annotations

import pytest
from ofakit.config import parse_config
from ofakit.errors import UsageError


def parsed(**retrieval):
    return parse_config({"task": "multimodal-retrieval", "data": {"reader": {"type": "given"}}, "retrieval": retrieval})


def test_bm25_and_vectors_are_searched_where_nothing_is_said():
    section = parsed().retrieval
    assert {name: searcher.type for name, searcher in section.searchers.items()} == {"bm25": "bm25", "dense": "dense"}
    assert section.fusion.normalization == "zscore" and section.fusion.missing == "minimum"


def test_an_unknown_key_names_the_nearest():
    with pytest.raises(UsageError, match="unknown key 'retrieval.fusion.weight'.*'weights'"):
        parsed(fusion={"weight": {}})


@pytest.mark.parametrize(("key", "value"), [("depth", 0), ("fusion", {"of": ["bm25"]}), ("index", {"metric": "dot"})])
def test_what_is_out_of_range_is_refused(key, value):
    with pytest.raises(UsageError, match=f"retrieval.{key}"):
        parsed(**{key: value})


def test_pooled_relevance_has_no_scores_that_need_all_that_is_relevant():
    assert "map" in parsed().retrieval.metrics and "map" not in parsed(relevance="pooled").retrieval.metrics
    assert parsed(relevance="pooled", metrics=["map"]).retrieval.metrics == ["map"], (
        "what is asked for is refused later"
    )
