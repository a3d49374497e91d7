"""Whatever is done with a base, only few of its passages are in memory at once."""

from __future__ import annotations

import weakref

import pytest
from ofakit.data.bad_examples import BadExamples
from ofakit.data.passage import Passage
from ofakit.data.passage_base import PassageBase
from ofakit.data.query import Query
from ofakit.data.stored_base import StoredBase
from ofakit.data.training_question import training_questions
from ofakit.hub import RetrievalBundle
from ofakit.inference.embedder import Embedder
from ofakit.retrieval import vector_search
from ofakit.retrieval.encoding import encode
from ofakit.retrieval.mining import MiningSettings, NegativeMiner
from ofakit.retrieval.searchers import SEARCHERS
from ofakit.retrieval.searchers.base import SearchContext

from tests.models.encoders.kinds import KINDS
from tests.models.test_retriever import made

COUNT, FEW = 1000, 40
QUERIES = [Query("q", "word7 red", relevant={"p7": 1.0}), Query("r", "word9", relevant={"p9": 1.0, "p10": 1.0})]


class Fleeting(PassageBase):
    """A base that makes a passage when it is asked for, and counts how many there are at most."""

    def __init__(self):
        self.alive, self.most = weakref.WeakSet(), 0

    def __len__(self):
        return COUNT

    def __getitem__(self, position):
        if isinstance(position, slice):
            return [self[place] for place in range(COUNT)[position]]
        number = range(COUNT)[position]
        found = Passage(f"p{number}", f"word{number} red", article=str(number // 4))
        self.alive.add(found)
        self.most = max(self.most, len(self.alive))
        return found

    def __contains__(self, passage_id):
        return passage_id[1:].isdecimal() and int(passage_id[1:]) < COUNT

    def position(self, passage_id):
        return int(passage_id[1:])

    @property
    def articles(self):
        return {str(number): range(4 * number, 4 * number + 4) for number in range(COUNT // 4)}


@pytest.fixture(scope="module")
def bundle():
    return RetrievalBundle(*made(encoder=KINDS["bag"]), model_type="retriever")


@pytest.mark.parametrize("spec", [
    {"type": "bm25"}, {"type": "dense"}, {"type": "dense", "unit": "article", "metric": "l2"},
])  # fmt: skip
def test_it_is_searched(bundle, spec, monkeypatch):
    monkeypatch.setattr(vector_search, "_WINDOW", FEW // 2)
    base, searcher = Fleeting(), SEARCHERS.build(spec)
    searcher.prepare(base, SearchContext(bundle=bundle, batch_size=8))
    run = searcher.search(QUERIES, 5)
    assert [len(run.ranking(query.id)) for query in QUERIES] == [5, 5] if spec["type"] == "dense" else run.ranking("r")
    assert 0 < base.most <= FEW


def test_it_is_encoded(bundle, tmp_path):
    base = Fleeting()
    assert encode(Embedder(bundle, "passage", device="cpu"), base, tmp_path / "index", block=FEW // 4).count == COUNT
    assert 0 < base.most <= FEW


def test_it_is_mined(bundle):
    base = Fleeting()
    settings = MiningSettings(number=0, random=3)
    miner = NegativeMiner(base, {}, settings, groups=lambda passage: passage.article_id)
    assert [len(found.negatives) for found in miner.mine(QUERIES)] == [3, 2]
    assert base.digest and 0 < base.most <= FEW


def test_it_is_learnt_from_and_stored(tmp_path):
    base = Fleeting()
    found = training_questions(QUERIES, base, BadExamples(), {"q": ["p1", "p2"]})
    assert [(question.relevant, question.negatives) for question in found] == [((7,), (1, 2)), ((9, 10), ())]
    stored = StoredBase.build(tmp_path / "base", base)
    assert len(stored) == COUNT and stored.digest == base.digest and 0 < base.most <= FEW
