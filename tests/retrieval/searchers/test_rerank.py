"""A searcher that puts another run in a cross-encoder's order, beside those that search by themselves."""

from __future__ import annotations

import pytest
from ofakit.config.retrieval import RetrievalSection
from ofakit.data.knowledge_base import KnowledgeBase
from ofakit.data.passage import Passage
from ofakit.data.query import Query
from ofakit.errors import UsageError
from ofakit.retrieval.pair_scorers import load_pair_scorer
from ofakit.retrieval.qrels import Qrels
from ofakit.retrieval.search_system import SearchSystem
from ofakit.retrieval.searchers import SEARCHERS
from ofakit.retrieval.searchers.base import SearchContext

from tests.inference.cross_encoders import save_cross_encoder

TEXTS = ["stone river", "river boat", "boat house", "stone house", "river house boat", "stone boat"]
BASE = KnowledgeBase([Passage(f"p{number}", text, title="t") for number, text in enumerate(TEXTS)])
QUERIES = [Query("q1", "boat river", relevant={"p1": 1}), Query("q2", "stone", relevant={"p0": 1})]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return str(save_cross_encoder(tmp_path_factory.mktemp("models") / "cross"))


def system_of(**searchers):
    section = RetrievalSection(searchers=searchers)
    system = SearchSystem(section)
    system.prepare(BASE, SearchContext(section))
    return system


def ordered(model, run, query, separator=" ", depth=50):
    scorer = load_pair_scorer(model, title_separator=separator, device="cpu")
    names = run.ranking(query.id)
    scores = scorer([(query, BASE[BASE.position(name)]) for name in names[:depth]])
    best = sorted(zip(names[:depth], scores.tolist(), strict=True), key=lambda pair: (-pair[1], pair[0]))
    return [name for name, _ in best] + names[depth:]


@pytest.mark.parametrize("depth", [2, 50])
def test_a_run_is_put_in_the_models_order(model, depth):
    system = system_of(bm25={"type": "bm25"}, better={"type": "rerank", "of": "bm25", "model": model, "depth": depth})
    runs = system.rank(QUERIES)
    assert list(runs) == ["bm25", "better"] and system.main == "better" and runs["better"].name == "better"
    assert not system.fuses and not system.needs_fitting
    for query in QUERIES:
        assert runs["better"].ranking(query.id) == ordered(model, runs["bm25"], query, depth=depth)
    assert runs["better"].ranking("q1") != runs["bm25"].ranking("q1")


def test_the_joined_run_is_ordered_too_and_takes_no_part_in_itself(model):
    searchers = {
        "one": {"type": "bm25"},
        "two": {"type": "bm25", "k1": 0.1},
        "better": {"type": "rerank", "model": model, "depth": 3},
        "best": {"type": "rerank", "of": "better", "model": model, "max_length": 5},
    }
    system = system_of(**searchers)
    with pytest.raises(UsageError, match="'better' reorders the run 'fused', which does not exist"):
        system.rank(QUERIES)
    runs = system.fit(QUERIES, Qrels.of(QUERIES))
    assert list(runs) == ["one", "two", "fused", "better", "best"] and system.main == "best"
    assert set(system.fitted["fused"]) == {"one", "two"}
    assert runs["better"].ranking("q1") == ordered(model, runs["fused"], QUERIES[0], depth=3)
    assert {name: dict(run) for name, run in system.rank(QUERIES).items()} == {n: dict(r) for n, r in runs.items()}


def test_titles_stand_in_front_as_configured(model):
    section = RetrievalSection(title_separator=None, searchers={"bm25": {"type": "bm25"}})
    searcher = SEARCHERS.build({"type": "rerank", "of": "bm25", "model": model})
    searcher.prepare(BASE, SearchContext(section))
    run = system_of(bm25={"type": "bm25"}).rank(QUERIES)["bm25"]
    found = searcher.rerank(QUERIES, run)
    assert found.ranking("q1") == ordered(model, run, QUERIES[0], separator=None)


BM25 = {"type": "bm25"}


@pytest.mark.parametrize(
    ("searchers", "message"),
    [
        ({"bm25": BM25, "r": {"type": "rerank", "of": "bm52", "model": "."}}, "no searcher 'bm52' before 'r'"),
        ({"r": {"type": "rerank", "of": "bm25", "model": "."}, "bm25": BM25}, "no searcher 'bm25' before 'r'"),
        ({"r": {"type": "rerank", "model": "."}}, "at least one that searches by itself"),
        ({"bm25": BM25, "r": {"type": "rerank", "of": "bm25"}}, "needs the key 'model'"),
        ({"bm25": BM25, "r": {"type": "rerank", "model": ".", "depth": 0}}, "a depth of at least 1 passage"),
    ],
)
def test_what_cannot_be_ordered_is_refused(searchers, message):
    with pytest.raises(UsageError, match=message):
        SearchSystem(RetrievalSection(searchers=searchers))


def test_by_itself_it_finds_nothing(model):
    searcher = SEARCHERS.build({"type": "rerank", "model": model})
    with pytest.raises(UsageError, match="reorders the passages of another run, 'fused'"):
        searcher.search(QUERIES, 5)
    with pytest.raises(UsageError, match="call prepare with a knowledge base first"):
        searcher.rerank(QUERIES, None)
    with pytest.raises(NotImplementedError, match="BM25 searches by itself"):
        SEARCHERS.build({"type": "bm25"}).rerank(QUERIES, None)
