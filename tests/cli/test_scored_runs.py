"""Runs and qrels named on a command line: what is scored by default, unions, and remarks."""

from __future__ import annotations

import argparse

import pytest
from ofakit.cli._scored_runs import add_run_arguments, read_qrels, score_files
from ofakit.errors import UsageError


@pytest.fixture
def files(tmp_path):
    """Two runs, qrels of one query more, and other qrels."""
    contents = {
        "a.trec": "q1 Q0 x 1 2.0 t\nq1 Q0 y 2 1.0 t\nq2 Q0 y 1 1.0 t\n",
        "b.trec": "q1 Q0 y 1 2.0 t\n",
        "qrels.trec": "q1 0 x 1\nq2 0 x 1\nq3 0 x 0\n",
        "more.trec": "q1 0 y 2\n",
    }
    for name, text in contents.items():
        (tmp_path / name).write_text(text)
    return {name.partition(".")[0]: str(tmp_path / name) for name in contents}


def parsed(*arguments):
    parser = argparse.ArgumentParser()
    add_run_arguments(parser)
    return parser.parse_args(arguments)


def test_arguments_repeat_or_take_several(files):
    one = parsed("--run", "a", "b", "--metric", "map", "p@1", "--qrels", "q")
    two = parsed("--run", "a", "--metric", "map", "--qrels", "q", "--run", "b", "--metric", "p@1")
    assert one == two and one.runs == ["a", "b"] and one.metrics == ["map", "p@1"]


def test_scores_and_remarks(files, capsys):
    args = parsed("--qrels", files["qrels"], "--metric", "mrr@10")
    first, second = score_files([files["a"], files["b"]], read_qrels(args), args)
    assert first.per_query["mrr@10"].tolist() == [1.0, 0.0, 0.0]
    assert second.without_ranking == ("q2", "q3")
    assert capsys.readouterr().err.splitlines() == [
        f"{files['a']}: queries without a relevant passage, which score 0: 1 ('q3')",
        f"{files['a']}: queries without a passage in the run, which score 0: 1 ('q3')",
        f"{files['b']}: queries without a relevant passage, which score 0: 1 ('q3')",
        f"{files['b']}: queries without a passage in the run, which score 0: 2 ('q2', 'q3')",
    ]


def test_by_default_pooled_qrels_get_the_scores_that_mean_something(files):
    args = parsed("--qrels", files["qrels"])
    assert list(score_files([files["a"]], read_qrels(args), args)[0].per_query) == [
        "map", "mrr@100", "p@1", "p@20", "hit@20", "ndcg@10",
    ]  # fmt: skip
    pooled = parsed("--qrels", files["qrels"], "--pooled")
    assert "map" not in score_files([files["a"]], read_qrels(pooled), pooled)[0].per_query
    asked = parsed("--qrels", files["qrels"], "--pooled", "--metric", "map")
    with pytest.raises(UsageError, match="map needs to know every relevant passage"):
        score_files([files["a"]], read_qrels(asked), asked)


def test_several_qrels_are_joined(files):
    qrels = read_qrels(parsed("--qrels", files["qrels"], files["more"], "--pooled"))
    assert dict(qrels)["q1"] == {"x": 1.0, "y": 2.0} and len(qrels) == 3 and qrels.mode == "pooled"
    assert read_qrels(parsed("--qrels", files["qrels"])).mode == "provenance"
    with pytest.raises(UsageError, match="--run needs --qrels FILE"):
        read_qrels(parsed("--run", files["a"]))


def test_other_queries_are_refused_or_left_out(files, capsys):
    args = parsed("--qrels", files["more"], "--metric", "mrr@10")
    with pytest.raises(UsageError, match=r"a\.trec': 1 of its 2 queries are not among the 1 of the qrels: 'q2'"):
        score_files([files["a"]], read_qrels(args), args)
    args = parsed("--qrels", files["more"], "--metric", "mrr@10", "--leave-out-unjudged")
    assert score_files([files["a"]], read_qrels(args), args)[0].means == {"mrr@10": 0.5}
    assert "queries missing from the qrels, which are left out: 1 ('q2')" in capsys.readouterr().err
