"""Runs: best first, ties by id, whatever they are made of; written and read without a loss; refused when wrong."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ofakit.errors import UsageError
from ofakit.retrieval import Qrels, Run
from ofakit.retrieval.run import import_ranx

from tests.golden_rankings import run_file

scores = st.one_of(st.sampled_from([0.0, 1.0, 1.5]), st.floats(-1e9, 1e9))
ids = st.text("ab01é", min_size=1, max_size=3)
rankings = st.dictionaries(ids, st.dictionaries(ids, scores, max_size=6), max_size=4)


def in_order(ranking):
    """The definition: score descending, then id."""
    return sorted(ranking, key=lambda passage: (-ranking[passage], passage))


@settings(deadline=None, max_examples=80)
@given(rankings)
def test_rankings_stand_best_first_and_ties_by_id(given_rankings):
    run = Run(given_rankings)
    assert dict(run) == given_rankings and list(run) == list(given_rankings) and len(run) == len(given_rankings)
    for query, ranking in given_rankings.items():
        assert run.ranking(query) == list(run[query]) == in_order(ranking)


@settings(deadline=None, max_examples=40)
@given(rankings, st.randoms())
def test_the_order_in_which_passages_come_changes_nothing(given_rankings, chance):
    shuffled = {q: dict(chance.sample(list(r.items()), len(r))) for q, r in given_rankings.items()}
    whole, other = Run(given_rankings), Run(shuffled)
    assert [list(ranking.items()) for ranking in whole.values()] == [list(r.items()) for r in other.values()]


@settings(deadline=None, max_examples=40)
@given(rankings)
def test_what_is_written_is_read_again(tmp_path_factory, given_rankings):
    path = tmp_path_factory.mktemp("runs") / "new" / "a.trec"
    run = Run(given_rankings, name="two words")
    run.write(path)
    again = Run.read(path)
    assert dict(again) == {query: ranking for query, ranking in run.items() if ranking}
    assert [list(again[query]) for query in again] == [list(run[query]) for query in again]
    assert again.name == ("two_words" if len(again) else "run")


@settings(deadline=None, max_examples=40)
@given(rankings, st.integers(1, 5))
def test_cut_keeps_the_first_passages(given_rankings, k):
    run = Run(given_rankings, name="x").cut(k)
    assert run.name == "x"
    assert {q: list(r.items()) for q, r in run.items()} == {
        q: list(r.items())[:k] for q, r in Run(given_rankings).items()
    }


def test_lines_are_those_of_trec(tmp_path):
    Run({"q2": {"b": 0.5, "a": 2}, "q1": {"c": -1e-05}}, name="bm25").write(tmp_path / "a.trec")
    assert (tmp_path / "a.trec").read_text() == ("q2 Q0 a 1 2.0 bm25\nq2 Q0 b 2 0.5 bm25\nq1 Q0 c 1 -1e-05 bm25\n")


def test_scores_say_the_order_and_not_the_ranks(tmp_path):
    (tmp_path / "a.trec").write_text("q 0 a 1 1.0 t\nr 0 x 1 5 t\nq 0 b 2 2.0 t\n")
    run = Run.read(tmp_path / "a.trec")
    assert dict(run) == {"q": {"b": 2.0, "a": 1.0}, "r": {"x": 5.0}} and run.ranking("q") == ["b", "a"]
    assert Run.read(tmp_path / "a.trec", name="own").name == "own"


def test_a_golden_run_comes_back_as_it_is(shared, tmp_path):
    run = Run.read(run_file(shared, "cisi_test", "a"))
    assert (len(run), len(run.scores), run.name) == (50, 5000, "bm25s-k1=1.5-b=0.75")
    run.write(tmp_path / "again.trec")
    assert dict(Run.read(tmp_path / "again.trec")) == dict(run)


def test_arrays_and_rows_give_the_run_of_the_mapping():
    expected = dict(Run({"q1": {"b": 0.5, "a": 0.5}, "q2": {}, "q3": {"a": 3.0}}))
    rows, places, scores = np.array([2, 0, 0]), np.array([0, 0, 1]), np.array([3.0, 0.5, 0.5])
    from_rows = Run.from_rows(["q1", "q2", "q3"], rows, ["a", "b", "unused"], places, scores)
    assert dict(from_rows) == expected and from_rows.ranking("q1") == ["a", "b"]
    assert dict(Run.from_arrays(["q1", "q2", "q3"], [["b", "a"], [], ["a"]], [[0.5, 0.5], [], [3]])) == expected
    square = Run.from_arrays(["q"], np.array([["x", "y"]], dtype=object), np.array([[1, 2]], dtype=np.float32))
    assert square["q"] == {"y": 2.0, "x": 1.0} and square.ranking("q") == ["y", "x"]


def test_a_query_without_a_ranking_has_none():
    run = Run({"q": {"a": 1.0}})
    assert run.ranking("other") == [] and "other" not in run and "q" in run
    with pytest.raises(KeyError):
        run["other"]
    assert repr(run) == "Run('run': 1 queries, 1 passages in their rankings)"


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_scores_that_are_not_finite_are_refused_by_name(tmp_path, bad):
    message = f"query 'q1', passage 'b': expected a finite score, found {bad}"
    for make in (
        lambda: Run({"q0": {"x": 1.0}, "q1": {"a": 1.0, "b": bad}}),
        lambda: Run.from_arrays(["q0", "q1"], [["x"], ["a", "b"]], [[1.0], [1.0, bad]]),
    ):
        with pytest.raises(UsageError, match=message):
            make()
    (tmp_path / "a.trec").write_text(f"q0 Q0 x 1 1.0 t\nq1 Q0 b 1 {bad} t\n")
    with pytest.raises(UsageError, match="line 2: query 'q1', passage 'b': expected a finite number as score"):
        Run.read(tmp_path / "a.trec")


def test_a_passage_that_stands_twice_is_refused_with_both_lines(tmp_path):
    (tmp_path / "a.trec").write_text("q1 Q0 b 1 3.0 t\nq2 Q0 b 1 2.0 t\nq1 Q0 a 2 2.0 t\nq1 Q0 b 3 1.0 t\n")
    with pytest.raises(UsageError, match=r"a\.trec: lines 1 and 4: query 'q1' has passage 'b' twice; keep one"):
        Run.read(tmp_path / "a.trec")
    with pytest.raises(UsageError, match="query 'q1' has passage 'b' twice; keep one"):
        Run.from_arrays(["q0", "q1"], [["b"], ["a", "b", "b"]], [[1.0], [3.0, 2.0, 1.0]])


def test_lines_that_are_none_are_refused(tmp_path):
    (tmp_path / "a.trec").write_text("q1 Q0 b 1 3.0 t\nq1 Q0 a 2\n")
    with pytest.raises(UsageError, match="line 2: expected 6 columns, `query Q0 passage rank score tag`, found 4"):
        Run.read(tmp_path / "a.trec")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Run.from_arrays(["q", "q"], [["a"], ["b"]], [[1], [1]]), "query 'q' has two rankings; merge them"),
        (lambda: Run.from_arrays(["q"], [["a"], ["b"]], [[1], [1]]), "one for each of 1 queries; found 2 with 2"),
        (lambda: Run.from_arrays(["q"], [["a", "b"]], [[1]]), "found 1 with 2 passages and 1 with 1 scores"),
        (lambda: Run({"q": {"a": 1.0}}).cut(0), "expected to keep at least 1 passage per ranking, found 0"),
        (lambda: Run({"q": {"a b": 1.0}}).write("x.trec"), "x.trec: expected ids without white space.*found 'a b'"),
        (lambda: Run({"q 1": {"a": 1.0}}).write("x.trec"), "found 'q 1'"),
    ],
)
def test_bad_usage_is_refused(make, message):
    with pytest.raises(UsageError, match=message):
        make()


def test_ids_of_a_base_that_no_ranking_has_need_no_check(tmp_path):
    run = Run.from_rows(["q"], np.array([0]), ["a", "b c"], np.array([0]), np.array([1.0]))
    run.write(tmp_path / "a.trec")
    assert dict(Run.read(tmp_path / "a.trec")) == {"q": {"a": 1.0}}


def test_runs_load_neither_torch_nor_numba():
    code = "import sys; from ofakit.retrieval import Qrels, Run, evaluate, score_run; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "numba", "pydantic", "transformers", "faiss"} & set(loaded)


def test_without_ranx_the_cure_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "ranx", None)
    with pytest.raises(UsageError, match=r'pip install "ofakit\[ranx\]"'):
        import_ranx()


def test_ranx_gets_the_same_rankings_and_every_query(monkeypatch):
    """A stand-in for ranx: importing the real one takes longer than all tests of this file."""
    kept = SimpleNamespace(Run=lambda rankings, name: (rankings, name), Qrels=lambda gains: gains)
    monkeypatch.setitem(sys.modules, "ranx", kept)
    run = Run({"q1": {"b": 0.5, "a": 2.0}, "q2": {}}, name="mine")
    assert run.to_ranx() == ({"q1": {"a": 2.0, "b": 0.5}}, "mine")
    gains = Qrels({"q1": {"a": 2, "b": 0}, "q2": {}}).to_ranx()
    assert gains == {"q1": {"a": 2, "b": 0}, "q2": {"-": 0}} and type(gains["q1"]["a"]) is int
