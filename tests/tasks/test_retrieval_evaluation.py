"""Runs are scored, written as TREC files, and listed question by question."""

from __future__ import annotations

import json

import pytest
from ofakit.config.retrieval import RetrievalSection
from ofakit.data.knowledge_base import KnowledgeBase
from ofakit.data.passage import Passage
from ofakit.data.query import Query
from ofakit.errors import UsageError
from ofakit.retrieval.run import Run
from ofakit.tasks._retrieval_evaluation import score_runs

QUERIES = [
    Query("1", "what", "a.png", relevant={"b": 1.0, "x": 0.0}),
    Query("2", "who", relevant={"c": 1.0}),
    Query("3", None, "b.png"),
]
BASE = KnowledgeBase([Passage(name, name) for name in "abc"])
RUNS = {
    "words": Run({"1": {"a": 2.0, "b": 1.0}, "2": {}, "3": {"a": 1.0}}, "words"),
    "all": Run({"1": {"b": 2.0, "a": 1.0}, "2": {"a": 3.0, "b": 2.0, "c": 1.0}, "3": {}}, "all"),
}


def scored(main="all", metrics=("mrr@100", "p@1"), **more):
    return score_runs(RUNS, main, QUERIES, BASE, RetrievalSection(metrics=list(metrics)), **more)


def test_the_main_run_stands_at_the_top_and_every_run_under_its_name():
    scores = scored().scores
    assert scores["mrr@100"] == pytest.approx((1 + 1 / 3) / 3) and scores["p@1"] == pytest.approx(1 / 3)
    assert scores["all"] == {"mrr@100": scores["mrr@100"], "p@1": scores["p@1"]}
    assert scores["words"] == {"mrr@100": pytest.approx(1 / 6), "p@1": 0.0}
    assert scored("words").scores["mrr@100"] == pytest.approx(1 / 6)


def test_questions_that_nothing_answers_are_counted_and_told_of(caplog):
    with caplog.at_level("WARNING"):
        scores = scored().scores
    assert (scores["queries"], scores["without_relevant"]) == (3, 1)
    (warning,) = [r.getMessage() for r in caplog.records if "without a relevant passage, which score 0" in r.message]
    assert "1 ('3')" in warning


def test_what_was_fitted_stands_beside_the_scores_and_only_then(tmp_path):
    fitted = {"fused": {"words": 0.25, "all": 0.75}, "words": {"k1": 1.2, "b": 0.4}}
    evaluation = scored(fitted=fitted)
    assert evaluation.scores["fitted"] == fitted and evaluation.scores["fitted"] is not fitted
    evaluation.write(tmp_path, "test")
    assert json.loads((tmp_path / "test.json").read_text())["fitted"] == fitted
    for nothing in (None, {}):
        assert "fitted" not in scored(fitted=nothing).scores
    assert {**evaluation.scores, "fitted": None} == {**scored().scores, "fitted": None}


def test_rows_say_what_was_found_and_where_the_answer_stands():
    rows = scored().rows
    assert [row["first"] for row in rows] == [1, 3, None]
    assert rows[0] == {
        "id": "1", "question": "what", "image": "a.png", "relevant": ["b"], "first": 1, "found": ["b", "a"],
    }  # fmt: skip
    assert rows[2]["question"] is None and rows[2]["relevant"] == rows[2]["found"] == []
    assert scored("words").rows[1]["first"] is None


def test_files_are_written_for_every_run(tmp_path):
    evaluation = scored()
    evaluation.write(tmp_path / "eval", "val")
    names = {"val.json", "val.predictions.jsonl", "val.run.trec", "val.all.run.trec", "val.words.run.trec"}
    assert {path.name for path in (tmp_path / "eval").iterdir()} == names
    read = Run.read(tmp_path / "eval" / "val.run.trec")
    assert read.name == "all" and read["2"] == RUNS["all"]["2"]
    assert json.loads((tmp_path / "eval" / "val.json").read_text()) == evaluation.scores
    lines = (tmp_path / "eval" / "val.predictions.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == list(evaluation.rows)


def test_an_unknown_score_is_refused():
    with pytest.raises(UsageError, match="mrr"):
        scored(metrics=["mmr@10"])
