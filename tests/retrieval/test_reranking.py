"""The best of a ranking are put in a model's order, the rest follows, and processes share the work."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from ofakit.data.knowledge_base import KnowledgeBase
from ofakit.data.passage import Passage
from ofakit.data.query import Query
from ofakit.errors import UsageError
from ofakit.processes import Processes
from ofakit.retrieval.reranking import rerank
from ofakit.retrieval.run import Run

BASE = KnowledgeBase([Passage(f"p{number:02d}", "x" * number) for number in range(40)])


def by_length(pairs):
    return np.array([len(passage.text) for _, passage in pairs], dtype=np.float32)


def run_of(rankings):
    return Run(
        {query: {passage: -float(place) for place, passage in enumerate(own)} for query, own in rankings.items()}
    )


RANKINGS = st.dictionaries(
    st.sampled_from([f"q{number}" for number in range(30)]),
    st.lists(st.sampled_from([passage.id for passage in BASE]), unique=True, max_size=12),
    min_size=1,
)


@given(RANKINGS, st.integers(1, 15))
def test_the_best_are_in_the_models_order_and_the_rest_in_the_former(rankings, depth):
    run, queries = run_of(rankings), [Query(name, "?") for name in rankings]
    found = rerank(run, queries, BASE, by_length, depth)
    assert found.queries == tuple(rankings) and found.name == "reranked"
    for name, own in rankings.items():
        assert found.ranking(name) == sorted(own[:depth], reverse=True) + own[depth:]
        assert all(found[name][passage] == len(BASE[BASE.position(passage)].text) for passage in own[:depth])


def test_what_cannot_be_scored_follows_in_its_order():
    def some(pairs):
        return np.where(by_length(pairs) % 2 == 0, by_length(pairs), np.nan)

    run = run_of({"q1": ["p03", "p02", "p05", "p08", "p20"], "q2": ["p07", "p05"], "q3": []})
    queries = [Query("q1"), Query("q2"), Query("q3"), Query("q4")]
    found = rerank(run, queries, BASE, some, depth=4)
    assert found.ranking("q1") == ["p08", "p02", "p03", "p05", "p20"]
    assert found["q2"] == run["q2"] and found.ranking("q3") == found.ranking("q4") == []


class Several(Processes):
    """Processes of which the others' shares are already there."""

    def gather(self, item):
        self.shares[self.rank] = item
        return list(self.shares.values())


def test_processes_share_the_work_and_give_what_one_gives():
    names = [f"q{number}" for number in range(50)]
    run = run_of({name: ["p03", "p09", "p01"] for name in names})
    queries, asked = [Query(name) for name in names], []

    def scorer(pairs):
        asked.append([query.id for query, _ in pairs])
        return by_length(pairs)

    alone = rerank(run, queries, BASE, scorer, 3)
    blocks, asked[:] = list(asked), []
    shares, found = {}, None
    for rank in range(3):
        processes = Several(rank, 3, torch.device("cpu"))
        object.__setattr__(processes, "shares", shares)
        try:
            found = rerank(run, queries, BASE, scorer, 3, processes)
        except KeyError:
            assert rank < 2  # the shares of later processes are not there yet
    assert dict(found) == dict(alone) and sorted(asked) == sorted(blocks) and len(blocks) == 4


def test_no_depth_and_unknown_passages_are_refused():
    run = run_of({"q1": ["p01"]})
    with pytest.raises(UsageError, match="a depth of at least 1 passage, found 0"):
        rerank(run, [Query("q1")], BASE, by_length, 0)
    with pytest.raises(UsageError, match="no passage 'p99'"):
        rerank(run_of({"q1": ["p99"]}), [Query("q1")], BASE, by_length)
