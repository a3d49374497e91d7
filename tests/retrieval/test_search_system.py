"""Searchers of a configuration and their fusion."""

from __future__ import annotations

import pytest
from ofakit.config.retrieval import RetrievalSection
from ofakit.data.knowledge_base import KnowledgeBase
from ofakit.data.passage import Passage
from ofakit.data.query import Query
from ofakit.errors import UsageError
from ofakit.retrieval.qrels import Qrels
from ofakit.retrieval.run import Run
from ofakit.retrieval.search_system import SearchSystem
from ofakit.retrieval.searchers import SEARCHERS
from ofakit.retrieval.searchers.base import SearchContext, Searcher

BASE = KnowledgeBase([Passage(name, name) for name in "abcdef"])
QUERIES = [Query("1", "a", relevant={"b": 1}), Query("2", "b", relevant={"c": 1})]


class Fixed(Searcher):
    """Ranks the passages in an order of its own, and chooses a number on val."""

    def __init__(self, order: str, learns: bool = False) -> None:
        self.order, self.learns, self.prepared, self.taken = order, learns, 0, {}

    def prepare(self, base, context):
        self.prepared += 1
        self.context = context

    def search(self, queries, k):
        return Run({q.id: {p: 9.0 - n for n, p in enumerate(self.order[:k])} for q in queries})

    def fit(self, queries, qrels, metric):
        return {"number": len(queries)} if "open" in metric or self.order.startswith("f") else {}

    def take(self, fitted):
        self.taken = dict(fitted)


if "fixed" not in SEARCHERS.names():
    SEARCHERS.register("fixed")(Fixed)


def system_of(fusion=None, fitted=None, depth=3, candidates=None, **orders):
    searchers = {name: {"type": "fixed", "order": order} for name, order in orders.items()}
    section = RetrievalSection(searchers=searchers, fusion=fusion or {}, depth=depth, candidates=candidates)
    return SearchSystem(section, fitted)


def test_runs_have_the_names_of_their_searchers_and_the_joined_one_comes_last():
    system = system_of(x="abcdef", y="fedcba", fusion={"weights": {"x": 0.9, "y": 0.1}})
    runs = system.rank(QUERIES)
    assert {name: run.name for name, run in runs.items()} == {"x": "x", "y": "y", "fused": "fused"}
    assert system.main == "fused" and runs["x"].ranking("1") == ["a", "b", "c"]
    assert all(len(run.ranking("1")) == 3 for run in runs.values())


def test_the_fusion_sees_more_candidates_than_are_scored():
    few, many = (
        system_of(x="abcdef", y="fedcba", fusion={"weights": {"x": 0.9, "y": 0.1}}, depth=1, candidates=c).rank(QUERIES)
        for c in (None, 6)
    )
    assert len(few["fused"]["1"]) == len(many["fused"]["1"]) == 1
    assert few["fused"]["1"] != many["fused"]["1"]


def test_weights_are_fitted_on_validation_queries_and_kept():
    system = system_of(x="fedcba", y="bcadef")
    assert system.needs_fitting and "fused" not in system.rank(QUERIES)
    runs = system.fit(QUERIES, Qrels.of(QUERIES))
    assert not system.needs_fitting and system.fitted["fused"]["y"] > system.fitted["fused"]["x"]
    assert system.fitted["x"] == {"number": 2} and system.searchers["x"].taken == {"number": 2}
    again = system_of(x="fedcba", y="bcadef", fitted=system.fitted)
    assert again.rank(QUERIES)["fused"]["1"] == runs["fused"]["1"] and again.searchers["x"].taken == {"number": 2}


def test_a_searcher_that_learns_takes_the_base_again_and_others_only_once():
    system = system_of(x="ab", y="ba")
    system.searchers["y"].learns = True
    for base in (BASE, BASE, KnowledgeBase([*BASE][:2])):
        system.prepare(base, SearchContext())
    assert (system.searchers["x"].prepared, system.searchers["y"].prepared) == (2, 3)
    assert system.searchers["x"].context.section is system.section


def test_one_searcher_or_no_fusion_has_no_joined_run():
    alone, apart = system_of(x="abc"), system_of(x="abc", y="cba", fusion={"method": "none"})
    for system, main in ((alone, "x"), (apart, "y")):
        assert system.main == main and not system.needs_fitting and "fused" not in system.rank(QUERIES)
    ranked = system_of(x="abc", y="cba", fusion={"method": "rrf"})
    assert not ranked.needs_fitting and "fused" in ranked.rank(QUERIES)


def test_what_cannot_be_searched_with_is_refused():
    with pytest.raises(UsageError, match="a searcher cannot be called 'fused'"):
        system_of(fused="abc")
    with pytest.raises(UsageError, match="unknown searcher 'bm52': did you mean 'bm25'"):
        SearchSystem(RetrievalSection(searchers={"x": {"type": "bm52"}}))
    with pytest.raises(UsageError, match="retrieval.searchers: expected at least one that searches by itself"):
        SearchSystem(RetrievalSection(searchers={}))
    with pytest.raises(UsageError, match="unknown index engine 'fais': did you mean 'faiss'"):
        SearchSystem(RetrievalSection(searchers={"x": {"type": "bm25"}}, index={"engine": "fais"}))
