"""Qrels: from queries and files and back, grown by runs, joined; queries without a relevant passage stay."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ofakit.data.qrels_files import read_qrels
from ofakit.data.query import Query
from ofakit.errors import UsageError
from ofakit.retrieval import Qrels, Run

from tests.golden_rankings import qrels_file

ids = st.text("ab01é", min_size=1, max_size=3)
gains = st.dictionaries(ids, st.dictionaries(ids, st.sampled_from([-1.0, 0.0, 0.25, 1.0, 4.0]), max_size=4), max_size=4)


@settings(deadline=None, max_examples=50)
@given(gains)
def test_what_is_written_is_read_again_with_every_query(tmp_path_factory, known):
    path = tmp_path_factory.mktemp("qrels") / "a.trec"
    Qrels(known).write(path)
    assert dict(Qrels.read(path)) == known and list(Qrels.read(path)) == list(known)


def test_lines_are_those_of_trec(tmp_path):
    Qrels({"q1": {"a": 1, "b": 0.5}, "q2": {}}).write(tmp_path / "a.trec")
    assert (tmp_path / "a.trec").read_text() == "q1 0 a 1\nq1 0 b 0.5\nq2 0 - 0\n"


def test_queries_say_what_is_relevant_to_them():
    queries = [Query("q1", "x", relevant={"a": 2.0, "b": 0.0}), Query("q2", "y")]
    qrels = Qrels.of(queries)
    assert dict(qrels) == {"q1": {"a": 2.0, "b": 0.0}, "q2": {}} and qrels.mode == "provenance"
    assert (qrels.relevant("q1"), qrels.relevant("q2"), qrels.relevant("q3")) == (["a"], [], [])
    assert qrels.without_relevant == ["q2"]
    assert repr(qrels) == "Qrels(2 queries, 2 gains, provenance)"


def test_graded_qrels_are_read(shared):
    qrels = Qrels.read(qrels_file(shared, "cranfield_test"))
    assert (len(qrels), sum(map(len, qrels.values()))) == (60, 485)
    assert {gain for known in qrels.values() for gain in known.values()} == {0.0, 1.0, 2.0, 3.0, 4.0}


def test_pooling_adds_what_runs_found_and_is_asked_once():
    asked = []

    def relevance(query, passage):
        asked.append((query, passage))
        return float(passage in "xz")

    runs = [Run({"q1": {"x": 2.0, "y": 1.0}, "other": {"x": 1.0}}), Run({"q1": {"x": 5.0, "z": 4.0, "a": 1.0}})]
    qrels = Qrels({"q1": {"a": 1.0}, "q2": {}})
    pooled = qrels.pooled(runs, relevance)
    assert dict(pooled) == {"q1": {"a": 1.0, "x": 1.0, "z": 1.0}, "q2": {}} and pooled.mode == "pooled"
    assert asked == [("q1", "x"), ("q1", "y"), ("q1", "z")]
    assert dict(qrels) == {"q1": {"a": 1.0}, "q2": {}} and qrels.mode == "provenance"


def test_the_union_does_not_depend_on_the_order():
    first, second = Qrels({"q1": {"a": 1.0, "b": 0.0}}, "pooled"), Qrels({"q1": {"b": 2.0}, "q2": {}})
    assert dict(first.union(second)) == dict(second.union(first)) == {"q1": {"a": 1.0, "b": 2.0}, "q2": {}}
    assert first.union(second).mode == second.union(first).mode == "pooled"
    assert second.union(second).mode == "provenance"


def test_qrels_pooled_from_each_run_have_the_union_of_qrels_pooled_from_all():
    qrels, relevance = Qrels({"q": {}}), lambda query, passage: float(passage < "c")
    runs = [Run({"q": {"a": 1.0, "d": 0.5}}), Run({"q": {"b": 1.0}})]
    one, two = (qrels.pooled([run], relevance) for run in runs)
    assert dict(one.union(two)) == dict(qrels.pooled(runs, relevance)) == {"q": {"a": 1.0, "b": 1.0}}


def test_files_are_read_as_readers_of_data_read_them(tmp_path):
    path = tmp_path / "a.tsv"
    path.write_text("query-id\tcorpus-id\tscore\nq1\ta\t2\nq2\t-\t0\n")
    assert dict(Qrels.read(path, "pooled")) == read_qrels(path) == {"q1": {"a": 2.0}, "q2": {}}
    (tmp_path / "a.trec").write_text("q1 0 a 1\nq2 0 a 1\nq1 0 a 1\n")
    with pytest.raises(UsageError, match=r"a\.trec: lines 1 and 3: query 'q1' has passage 'a' twice; keep one"):
        Qrels.read(tmp_path / "a.trec")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Qrels({"q": {"a": float("nan")}}), "query 'q', passage 'a': expected a finite gain, found nan"),
        (lambda: Qrels({}, "guessed"), "expected the mode of qrels to be 'provenance' or 'pooled', found 'guessed'"),
        (lambda: Qrels.of([Query("q"), Query("r"), Query("q")]), "queries 1 and 3 share the id 'q'"),
        (lambda: Qrels({"q": {"a b": 1}}).write("x"), "x: expected ids without white space"),
        (lambda: Qrels({"q": {"a": 0.5}}).to_ranx(), "ranx takes whole gains only, found 0.5"),
    ],
)
def test_bad_usage_is_refused(make, message):
    with pytest.raises(UsageError, match=message):
        make()


def test_ids_that_are_not_utf8_keep_their_bytes_in_judgements_as_in_runs(tmp_path):
    content = b"q\xff 0 caf\xe9 1\n"
    (tmp_path / "a.trec").write_bytes(content)
    (tmp_path / "run.trec").write_bytes(b"q\xff Q0 caf\xe9 1 2.5 x\n")
    qrels, run = Qrels.read(tmp_path / "a.trec"), Run.read(tmp_path / "run.trec")
    assert qrels.relevant("q\udcff") == run.ranking("q\udcff")
    qrels.write(tmp_path / "b.trec")
    assert (tmp_path / "b.trec").read_bytes() == content
