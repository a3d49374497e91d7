"""Files of relevance judgements."""

from __future__ import annotations

import pytest
from ofakit.data.qrels_files import read_qrels
from ofakit.errors import UsageError

FOUND = {"q1": {"a": 2.0, "b": 0.0}, "q 2": {"a": 1.0}}


def test_trec_and_beir_say_the_same(tmp_path):
    trec, beir, plain = tmp_path / "q.trec", tmp_path / "q.tsv", tmp_path / "p.tsv"
    trec.write_bytes(b"q1 0 a 2\r\n\nq1\t0\tb\t0\n q3 0 a\t\t1\nq3\t0\tb 1\n")
    assert read_qrels(trec) == {"q1": FOUND["q1"], "q3": {"a": 1.0, "b": 1.0}}
    rows = "q1\ta\t2\nq1\tb\t0\nq 2\ta\t1\n"
    beir.write_text(f"\ufeffquery-id\tcorpus-id\tscore\n{rows}", encoding="utf-8")
    plain.write_text(rows)
    assert read_qrels(beir) == read_qrels(plain) == FOUND


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("q 0 a 1\nq 0 a\n", "line 2, found 'q 0 a'"),
        ("q 0 a much\n", "line 1, found 'q 0 a much'"),
        ("q 0 a nan\n", "line 1"),
        ("q 0 a 1 x 1\n", "line 1"),
        ("q 0 a 1\nq 0 b 1\nq 0 a 2\n", r"q\.trec: lines 1 and 3: query 'q' has passage 'a' twice; keep one"),
        ("x\ty\tz\nq\ta\t1\nq\ta\t1\n", "lines 2 and 3: query 'q' has passage 'a' twice; keep one"),
    ],
)
def test_what_is_no_judgement_is_named(tmp_path, text, message):
    (tmp_path / "q.trec").write_text(text)
    with pytest.raises(UsageError, match=message):
        read_qrels(tmp_path / "q.trec")


def test_a_query_of_which_nothing_is_judged_is_kept(tmp_path):
    (tmp_path / "q.trec").write_text("q1 0 - 0\nq2 0 - 0\nq2 0 a 1\nq3 0 - 1\n")
    assert read_qrels(tmp_path / "q.trec") == {"q1": {}, "q2": {"-": 0.0, "a": 1.0}, "q3": {"-": 1.0}}


def test_a_file_that_is_missing_and_ids_that_are_not_utf8(tmp_path):
    with pytest.raises(UsageError, match="expected judgements in .*no such file"):
        read_qrels(tmp_path / "none.trec")
    (tmp_path / "q.trec").write_bytes(b"q\xff 0 caf\xe9 1\n")
    assert read_qrels(tmp_path / "q.trec") == {"q\udcff": {"caf\udce9": 1.0}}
    with pytest.raises(UsageError, match="judgements"):
        read_qrels(tmp_path)


def test_real_judgements(shared):
    found = read_qrels(shared / "data" / "ir" / "cranfield" / "qrels_test.trec")
    assert len(found) == 60
    assert set().union(*(gains.values() for gains in found.values())) == {0.0, 1.0, 2.0, 3.0, 4.0}
