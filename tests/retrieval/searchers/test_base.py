"""What every searcher has without writing it."""

from __future__ import annotations

import pytest
from ofakit.data.knowledge_base import KnowledgeBase
from ofakit.data.passage import Passage
from ofakit.data.query import Query
from ofakit.retrieval.qrels import Qrels
from ofakit.retrieval.run import Run
from ofakit.retrieval.searchers import SEARCHERS
from ofakit.retrieval.searchers.base import SearchContext, Searcher


class First(Searcher):
    """Finds the first passages of the base for every query."""

    def prepare(self, base, context):
        self.base = base

    def search(self, queries, k):
        return Run({query.id: {p.id: -float(n) for n, p in enumerate(list(self.base)[:k])} for query in queries})


def test_a_searcher_may_have_nothing_to_choose_and_nothing_to_order():
    searcher = First()
    queries = [Query("q", "x", relevant={"b": 1.0})]
    searcher.prepare(KnowledgeBase([Passage("b", "x"), Passage("a", "y")]), SearchContext())
    run = searcher.search(queries, 1)
    assert run.ranking("q") == ["b"]
    assert searcher.fit(queries, Qrels.of(queries), "mrr@100") == {} and searcher.take({}) is None
    assert not searcher.learns and searcher.of is None
    with pytest.raises(NotImplementedError, match="First searches by itself"):
        searcher.rerank(queries, run)


def test_one_that_lacks_a_method_cannot_be_made():
    class Half(Searcher):
        def prepare(self, base, context): ...

    with pytest.raises(TypeError, match="search"):
        Half()


def test_every_member_is_a_searcher_that_says_what_it_takes():
    for name in ("bm25", "dense", "rerank"):
        kind = SEARCHERS.get(name)
        assert issubclass(kind, Searcher) and kind.__doc__ and "Args:" in kind.__doc__


def test_a_context_has_what_a_searcher_needs_without_a_model():
    context = SearchContext()
    assert context.bundle is None and context.processes is None and context.folder is None
    assert context.section.depth == 100 and context.precision == "fp32"
