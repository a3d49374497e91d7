"""Rankings are read with passages and judgements where there are data, and without them by their ids."""

import json

import pytest
from ofakit.data.knowledge_base import KnowledgeBase
from ofakit.data.passage import Passage
from ofakit.errors import UsageError
from ofakit.reports.ranking_split import RankingSplit, is_ranking, ranking_split
from ofakit.reports.run_files import read_run
from ofakit.retrieval.qrels import Qrels
from ofakit.retrieval.run import Run

from tests.written_runs import write_captioning_run, write_lines, write_ranking_run


def test_without_data_the_rows_say_what_is_relevant(tmp_path):
    run = read_run(write_ranking_run(tmp_path / "run"))
    found = ranking_split(run, run.split())
    assert found.main == "dense" and list(found.runs) == ["dense", "bm25"]
    assert found.qrels.relevant("q2") == ["p2", "p9"] and len(found.remarks) == 1
    assert ranking_split(run, run.split(), base=False).remarks == []


def test_without_files_of_rankings_the_rows_have_them(tmp_path):
    folder = write_ranking_run(tmp_path / "run")
    for path in folder.glob("eval/*.trec"):
        path.unlink()
    run = read_run(folder)
    assert ranking_split(run, run.split()).runs["run"].ranking("q2") == ["p3", "p2"]


def test_with_data_passages_and_gains_are_those_of_the_base(tmp_path):
    folder = write_ranking_run(tmp_path / "run")
    base = tmp_path / "base"
    base.mkdir()
    passages = [{"id": f"p{n}", "text": f"text {n}", "title": f"Title {n}"} for n in range(10)]
    write_lines(base / "passages.jsonl", passages)
    questions = [{"id": q, "question": q, "relevant": {"p2": 2.0}} for q in ("q1", "q2", "q3")]
    write_lines(base / "test.jsonl", questions)
    config = json.loads((folder / "conf.json").read_text())
    reader = {"type": "knowledge_base", "passages": "passages.jsonl", "test": "test.jsonl"}
    (folder / "conf.json").write_text(json.dumps({**config, "data": {"reader": reader, "root": str(base)}}))
    run = read_run(folder)
    found = ranking_split(run, run.split())
    assert found.remarks == [] and found.passage("p3").title == "Title 3" and found.qrels["q1"] == {"p2": 2.0}


def test_a_passage_of_an_article():
    base = KnowledgeBase([Passage("a-0", "x", title="A", article="a")])
    split = RankingSplit("test", [], {}, {"run": Run({})}, Qrels({}), base)
    assert split.passage("a").id == split.passage("a-0").id == "a-0" and split.passage("b") is None


@pytest.mark.parametrize("row", [{"found": [], "relevant": []}, {"id": 1, "found": "x", "relevant": []}])
def test_a_row_that_is_none_is_named(tmp_path, row):
    folder = write_ranking_run(tmp_path / "run")
    write_lines(folder / "eval" / "test.predictions.jsonl", [row])
    run = read_run(folder)
    with pytest.raises(UsageError, match=r"jsonl:1: expected id, question"):
        ranking_split(run, run.split())


def test_what_is_one(tmp_path):
    assert is_ranking(read_run(write_ranking_run(tmp_path / "a")).split())
    assert not is_ranking(read_run(write_captioning_run(tmp_path / "b")).split())
