"""What a hard negative is, and that the work is the same however it is cut, shared or killed."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ofakit.data.knowledge_base import KnowledgeBase
from ofakit.data.passage import Passage
from ofakit.data.query import Query
from ofakit.errors import UsageError
from ofakit.retrieval.mining import MiningSettings, NegativeMiner, mine_to_file
from ofakit.retrieval.negatives import read_mined

from tests.two_processes import ROOT, run_two

BASE = KnowledgeBase(
    [
        Passage("right", "The capital is Algiers .", article="DZ"),
        Passage("same", " the CAPITAL is algiers .", article="XX"),
        Passage("also", "Algeria's seat of government .", article="DZ"),
        Passage("answer", "Algiers lies by the sea .", article="DZ"),
        *(Passage(f"n{number}", f"Passage {number} .", article="DZ" if number < 3 else "FR") for number in range(6)),
    ]
)
QUERY = Query("q", "What is the capital ?", relevant={"right": 1, "also": 2, "n5": 0}, answers=("Algiers",))
BM25 = {"q": {"n0": 9.0, "right": 8.0, "same": 7.5, "answer": 7.0, "n1": 6.0, "n2": 4.0, "also": 3.0, "n5": 2.0}}
DENSE = {"q": {"n3": -0.1, "n1": -0.2, "n4": -0.5}}


def mined(rankings=None, scorer=None, groups=None, queries=(QUERY,), **settings):
    miner = NegativeMiner(
        BASE, {"bm25": BM25} if rankings is None else rankings, MiningSettings(**settings), scorer, groups
    )
    return miner.mine(queries), miner.counts


def test_what_answers_in_any_way_is_no_negative():
    (found,), counts = mined()
    assert found.positives == ("right", "also") and found.negatives == ("n0", "n1", "n2", "n5")
    assert found.scores == {"right": 8.0, "also": 3.0, "n0": 9.0, "n1": 6.0, "n2": 4.0, "n5": 2.0}
    expected = {"questions": 1, "negatives": 4, "short": 1, "dropped_relevant": 2, "dropped_same_text": 1}
    assert {name: count for name, count in counts.items() if count} == {**expected, "dropped_answer": 1}
    assert mined(keep_answers=True)[0][0].negatives == ("n0", "answer", "n1", "n2", "n5")


@pytest.mark.parametrize(
    ("settings", "negatives"),
    [
        ({"number": 2}, ("n0", "n1")),
        ({"first_rank": 2}, ("n1", "n2", "n5")),
        ({"first_rank": 5, "last_rank": 6}, ("n1", "n2")),
        ({"absolute_margin": 2.0}, ("n1", "n2", "n5")),
        ({"relative_margin": 0.3}, ("n2", "n5")),
        ({"absolute_margin": 2.0, "relative_margin": 0.75}, ("n5",)),
        ({"max_score": 4.0}, ("n2", "n5")),
        ({"max_score": 1.0}, ()),
    ],
)
def test_ranks_margins_and_limits(settings, negatives):
    assert mined(**settings)[0][0].negatives == negatives


def test_rankings_take_turns_and_each_has_its_own_positive():
    (found,), _ = mined({"bm25": BM25, "dense": DENSE})
    assert found.negatives == ("n0", "n3", "n1", "n4", "n2", "n5")
    assert found.scores["n1"] == -0.2  # the score of the ranking it was taken from
    (found,), counts = mined({"bm25": BM25, "dense": DENSE}, absolute_margin=1.0)
    assert found.negatives == ("n1", "n2", "n5") and counts["dropped_score"] == 4  # no margin to a positive not ranked


def test_a_draw_depends_on_the_seed_and_the_question_alone():
    def draw(seed, queries=(QUERY,)):
        return mined(number=2, sampling="random", seed=seed, queries=queries)[0][-1].negatives

    draws = {draw(seed) for seed in range(20)}
    assert len(draws) > 3 and all(len(set(negatives)) == 2 for negatives in draws)
    other = Query("other", relevant={"right": 1})
    assert draw(1) == draw(1, (other, QUERY))


def scorer(pairs):
    """Knows by heart; one passage it cannot read."""
    known = {"right": 5.0, "also": 1.0, "n0": 4.5, "n1": -3.0, "n2": 2.0, "n5": np.nan}
    return np.array([known.get(passage.id, 0.0) for _, passage in pairs], dtype=np.float32)


def test_a_scorer_denoises_and_orders():
    (found,), counts = mined(scorer=scorer)
    assert found.negatives == ("n0", "n2", "n1") and counts["dropped_unreadable"] == 1
    assert found.scores == {"right": 5.0, "also": 1.0, "n0": 4.5, "n2": 2.0, "n1": -3.0}
    assert mined(scorer=scorer, max_score=2.5)[0][0].negatives == ("n2", "n1")
    assert mined(scorer=scorer, absolute_margin=1.0)[0][0].negatives == ("n2", "n1")


def test_random_ones_are_of_the_group_of_a_positive():
    (found,), counts = mined({}, number=0, random=9, groups=lambda passage: passage.article_id)
    assert sorted(found.negatives) == ["n0", "n1", "n2"] and counts["short"] == 1 and not found.scores
    (found,), _ = mined({}, number=0, random=9)
    assert sorted(found.negatives) == [f"n{number}" for number in range(6)]
    (found,), _ = mined(number=1, random=2, last_rank=1, groups=lambda passage: passage.article_id)
    assert found.negatives[0] == "n0" and sorted(found.negatives[1:]) == ["n1", "n2"]
    (found,), _ = mined({}, number=0, random=3, scorer=scorer, groups=lambda passage: passage.article_id, max_score=3.0)
    assert sorted(found.negatives) == ["n1", "n2"] and found.scores["n2"] == 2.0
    draws = {mined({}, number=0, random=2, seed=seed)[0][0].negatives for seed in range(10)}
    assert len(draws) > 5


def test_questions_without_a_passage_or_a_ranking_are_counted():
    lost = [Query("lost", relevant={"elsewhere": 1}), Query("unknown"), Query("unranked", relevant={"right": 1})]
    found, counts = mined(queries=lost)
    assert [question.query for question in found] == ["unranked"] and found[0].negatives == ()
    assert (counts["without_positive"], counts["without_ranking"], counts["short"]) == (2, 1, 1)


def test_images_of_one_file_are_the_same_passage():
    base = KnowledgeBase([Passage(f"p{n}", None, image=image) for n, image in enumerate(("a.png", "b.png", "a.png"))])
    query, ranking = Query("q", image="x.png", relevant={"p0": 1}), {"q": {"p1": 2.0, "p2": 1.0}}
    assert NegativeMiner(base, {"image": ranking}, MiningSettings()).mine([query])[0].negatives == ("p1",)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"number": 0}, "negatives to mine, found 0 hard and 0 random"),
        ({"number": -1, "random": 3}, "found -1 hard"),
        ({"first_rank": 0}, "ranks of at least 1, found 0 to 100"),
        ({"first_rank": 5, "last_rank": 4}, "ranks of at least 1, found 5 to 4"),
        ({"sampling": "all"}, "sampling top or random, found 'all'"),
        ({"absolute_margin": -1.0}, "absolute margin of at least 0"),
        ({"relative_margin": float("nan")}, "relative margin of at least 0, found nan"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings, message):
    with pytest.raises(UsageError, match=message):
        MiningSettings(**settings)


def test_nothing_to_take_from_and_rankings_of_another_base_are_refused():
    with pytest.raises(UsageError, match="a ranking to take hard negatives from"):
        mined({}, number=1, random=1)
    with pytest.raises(UsageError, match="no passage 'zz'"):
        mined({"bm25": {"q": {"zz": 1.0}}})


# Files

COUNT = 60
MANY = KnowledgeBase([Passage(f"p{n}", f"text {n % 50}", article=str(n % 7)) for n in range(200)])


def many_queries():
    return [Query(f"q{n}", relevant={f"p{n}": 1} if n % 9 else {}) for n in range(COUNT)]


def miner_of_many():
    draws = random.Random(3)
    ranking = {
        f"q{n}": {f"p{p}": 1 / (rank + 1) for rank, p in enumerate(draws.sample(range(200), 20))} for n in range(COUNT)
    }
    asked = MiningSettings(number=4, sampling="random", random=2)

    def scores(pairs):
        return np.array([int(query.id[1:]) / 7 - int(passage.id[1:]) / 3 for query, passage in pairs], np.float32)

    return NegativeMiner(MANY, {"bm25": ranking}, asked, scores, lambda passage: passage.article_id)


def mine_many(folder, miner=None, processes=None, block_size=7):
    path = Path(folder) / "negatives.jsonl"
    return path, mine_to_file(miner or miner_of_many(), many_queries(), path, "many", processes, block_size)


class Killed(NegativeMiner):
    """Stops after some blocks."""

    def __init__(self, miner, blocks):
        self.__dict__ = {**miner.__dict__, "left": blocks}

    def mine(self, queries):
        self.left -= 1
        if self.left < 0:
            raise KeyboardInterrupt
        return super().mine(queries)


def test_a_file_has_every_question_and_nothing_else_is_left(tmp_path):
    path, counts = mine_many(tmp_path)
    found = read_mined(path)
    asked = [query.id for query in many_queries() if query.relevant]
    assert [question.query for question in found] == asked and counts["questions"] == len(asked)
    assert counts["negatives"] == sum(len(question.negatives) for question in found) and len(asked) == 53
    assert counts["without_positive"] == COUNT - 53
    assert [entry.name for entry in tmp_path.iterdir()] == ["negatives.jsonl"]


@settings(deadline=None, max_examples=20)
@given(st.lists(st.integers(0, 4), max_size=4))
def test_however_often_it_is_stopped_the_file_and_the_counts_are_the_same(stops):
    with tempfile.TemporaryDirectory() as whole, tempfile.TemporaryDirectory() as parts:
        path, counts = mine_many(whole)
        for blocks in stops:
            with suppress(KeyboardInterrupt):
                mine_many(parts, Killed(miner_of_many(), blocks))
        again, same = mine_many(parts)
        assert again.read_bytes() == path.read_bytes() and same == counts


KILL = """
import sys, time
from tests.retrieval.test_mining import *

class Slow(NegativeMiner):
    def __init__(self, miner):
        self.__dict__ = miner.__dict__
    def mine(self, queries):
        time.sleep(0.02)
        return super().mine(queries)

print("ready", flush=True)
mine_many(sys.argv[1], Slow(miner_of_many()))
"""


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL is POSIX's")
def test_a_process_that_is_killed_goes_on_and_ends_the_same(tmp_path):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
    (tmp_path / "whole").mkdir()
    path, _ = mine_many(tmp_path / "whole")
    for wait in (0.03, 0.1):
        process = subprocess.Popen(
            [sys.executable, "-c", KILL, str(tmp_path)], env=environment, stdout=subprocess.PIPE, text=True
        )
        assert process.stdout.readline() == "ready\n"
        time.sleep(wait)
        process.send_signal(signal.SIGKILL)
        process.wait()
    again, _ = mine_many(tmp_path)
    assert again.read_bytes() == path.read_bytes()


def test_other_work_is_not_gone_on_with(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        mine_many(tmp_path, Killed(miner_of_many(), 3))
    other, _ = mine_many(tmp_path, block_size=10)
    (tmp_path / "whole").mkdir()
    path, _ = mine_many(tmp_path / "whole", block_size=10)
    assert other.read_bytes() == path.read_bytes() and len(list(tmp_path.iterdir())) == 2


TWO_PROCESSES = """
import json, sys
from ofakit.processes import join_processes
from tests.retrieval.test_mining import *

folder = Path(sys.argv[1])
processes = join_processes("cpu")
_, counts = mine_many(folder, processes=processes)
(folder / f"counts{processes.rank}.json").write_text(json.dumps(counts))
"""


def test_two_processes_share_the_work_and_go_on_where_one_stopped(tmp_path):
    (tmp_path / "whole").mkdir()
    path, counts = mine_many(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        mine_many(tmp_path, Killed(miner_of_many(), 2))
    run_two(TWO_PROCESSES, tmp_path)
    assert (tmp_path / "negatives.jsonl").read_bytes() == path.read_bytes()
    assert [json.loads((tmp_path / f"counts{rank}.json").read_text()) for rank in range(2)] == [counts] * 2
    assert not list(tmp_path.glob(".negatives*"))
