"""The searcher bm25: texts with titles, what is kept in a folder and when it is made again, tuning and its outcome."""

from __future__ import annotations

import pytest
from ofakit.config.retrieval import RetrievalSection
from ofakit.data.knowledge_base import KnowledgeBase
from ofakit.data.passage import Passage
from ofakit.data.query import Query
from ofakit.errors import UsageError
from ofakit.retrieval import BM25Index, Qrels
from ofakit.retrieval.searchers import SEARCHERS
from ofakit.retrieval.searchers.base import SearchContext

BASE = KnowledgeBase(
    [
        Passage("DZ-0", "The capital is Algiers.", title="Algeria", article="DZ"),
        Passage("DZ-1", "Sheep and dates.", title="Algeria", article="DZ"),
        Passage("FR-0", "The capital is Paris.", title="France", article="FR"),
        Passage("XX-0", None, title=None, image="flag.png"),
    ]
)


@pytest.fixture
def builds(monkeypatch):
    """How often an index was built."""
    calls = []
    build = BM25Index.build.__func__
    monkeypatch.setattr(
        BM25Index, "build", classmethod(lambda cls, *given: (calls.append(given[2]), build(cls, *given))[1])
    )
    return calls


def searcher(context=None, base=BASE, **keys):
    made = SEARCHERS.build({"type": "bm25", **keys})
    made.prepare(base, context or SearchContext())
    return made


def test_titles_count_unless_they_are_left_out():
    queries = [Query("q", "capital of Algeria"), Query("image", image="x.png"), Query("none", "zebra")]
    run = searcher().search(queries, 2)
    assert list(run) == ["q", "image", "none"]
    assert run.ranking("q") == ["DZ-0", "DZ-1"] and run["image"] == run["none"] == {}
    bare = searcher(SearchContext(section=RetrievalSection(title_separator=None)))
    assert bare.search(queries, 2).ranking("q") == ["DZ-0", "FR-0"]


def test_another_base_takes_the_place_of_the_first():
    made = searcher()
    made.search([Query("q", "Paris")], 1)
    made.prepare(KnowledgeBase([Passage("new", "Paris")]), SearchContext())
    assert made.search([Query("q", "Paris")], 5).ranking("q") == ["new"]


def test_an_index_is_kept_and_made_again_only_for_other_passages_or_settings(tmp_path, builds):
    context = SearchContext(folder=tmp_path / "indexes")
    query = [Query("q", "capital of Algeria")]
    first = searcher(context).search(query, 3)
    assert dict(searcher(context).search(query, 3)) == dict(first) and len(builds) == 1
    searcher(context, k1=0.9).search(query, 3)
    searcher(context).search(query, 3)
    assert len(builds) == 2 and len(list((tmp_path / "indexes").iterdir())) == 2
    other = KnowledgeBase([Passage("DZ-0", "Algeria")])
    assert searcher(context, other).search(query, 3).ranking("q") == ["DZ-0"] and len(builds) == 3
    bare = SearchContext(section=RetrievalSection(title_separator=None), folder=tmp_path / "indexes")
    assert searcher(bare).search(query, 3).ranking("q") == ["DZ-0", "FR-0"] and len(builds) == 4


def test_nothing_is_indexed_before_a_search(tmp_path, builds):
    made = searcher(SearchContext(folder=tmp_path / "indexes"), tune=True)
    assert not builds and not (tmp_path / "indexes").exists()
    made.fit([Query("q", "Paris")], Qrels({"q": {"FR-0": 1}}), "mrr@100")
    assert not builds


def test_what_was_tuned_is_used_and_found_again(tmp_path, builds):
    base = KnowledgeBase(
        [Passage("long", "dog " * 3 + "cat " * 30), Passage("short", "dog cat"), Passage("no", "fish")]
    )
    val, qrels = [Query("q", "dog")], Qrels({"q": {"long": 1}})
    context = SearchContext(folder=tmp_path)
    made = searcher(context, base, tune=True)
    assert made.search(val, 1).ranking("q") == ["short"]
    chosen = made.fit(val, qrels, "mrr@100")
    assert set(chosen) == {"k1", "b"} and chosen["b"] < 0.75
    assert made.settings.k1 == 1.5, "choosing is not taking"
    made.take(chosen)
    assert made.search(val, 1).ranking("q") == ["long"] and len(builds) == 2
    again = SEARCHERS.build({"type": "bm25", "tune": True})
    again.take(chosen)
    again.prepare(base, context)
    assert again.search(val, 1).ranking("q") == ["long"] and len(builds) == 2


def test_nothing_is_chosen_without_tune():
    made = searcher()
    assert made.fit([Query("q", "Paris")], Qrels({"q": {"FR-0": 1}}), "mrr@100") == {}
    made.take({})
    assert made.settings.k1 == 1.5


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"k": 1.0}, "unknown key 'k' for searcher 'bm25': did you mean 'k1'|unknown key 'k' for searcher 'bm25'"),
        ({"k1": "high"}, "key 'k1' of searcher 'bm25': expected float, found 'high'"),
        ({"b": 2.0}, "0 <= b <= 1"),
        ({"variant": "bm26"}, "key 'variant' of searcher 'bm25'"),
    ],
)
def test_bad_keys_are_refused(keys, message):
    with pytest.raises(UsageError, match=message):
        SEARCHERS.build({"type": "bm25", **keys})


def test_a_searcher_without_a_base_says_so():
    with pytest.raises(UsageError, match=r"no knowledge base yet; call prepare\(base, context\) first"):
        SEARCHERS.build({"type": "bm25"}).search([Query("q", "x")], 1)
