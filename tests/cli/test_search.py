"""The tool that searches: its files, its last line, and what it refuses."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from ofakit.cli import search
from ofakit.retrieval.run import Run
from ofakit.trainers import Trainer

from tests.cli.conftest import last_line
from tests.tasks.small_retrieval import QUESTIONS, base_config
from tests.trainers.conftest import trained

BM25 = Path(__file__).resolve().parents[2] / "configs" / "retrieval" / "bm25.json"
CORPUS = [{"id": "p0", "text": "a red flag"}, {"id": "p1", "text": "a blue flag"}, {"id": "p2", "text": "a star"}]
ASKED = [{"id": "q0", "text": "blue"}, {"id": "q1", "text": "star"}, {"id": "q2", "text": "zzz"}]


@pytest.fixture
def files(tmp_path):
    for name, rows in (("corpus", CORPUS), ("queries", ASKED)):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "qrels.trec").write_text("q0 0 p1 1\nq1 0 p2 1\nq2 0 p0 1\n")
    return tmp_path


def searched(capsys, conf, *arguments, **settings):
    given = [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]
    code = search.main(["--conf", str(conf), *map(str, arguments), *given])
    printed = capsys.readouterr()
    return last_line(printed.out) if code == 0 else printed.err


def of_files(folder, **more):
    return {name: folder / f"{name}.jsonl" for name in ("corpus", "queries")} | more


def test_files_are_searched_and_scored(files, capsys):
    out = files / "new" / "bm25.trec"
    found = searched(capsys, BM25, **of_files(files, qrels=files / "qrels.trec", run=out))
    assert found["mrr@100"] == found["p@1"] == pytest.approx(2 / 3)
    assert {"map", "mrr@100", "p@1", "p@20", "hit@20", "ndcg@10"} <= found.keys()
    assert (found["passages"], found["queries"], found["without_relevant"]) == (3, 3, 0)
    run = Run.read(out)
    assert run.ranking("q0")[0] == "p1" and run.ranking("q1") == ["p2"] and run.name == "bm25"


def test_a_corpus_on_disk_gives_the_same_run(files, capsys):
    for name, more in (("memory", {}), ("disk", {"data.base_folder": files / "bases"})):
        searched(capsys, BM25, **of_files(files, run=files / f"{name}.trec"), **more)
    assert (files / "memory.trec").read_bytes() == (files / "disk.trec").read_bytes() and (files / "bases").is_dir()


def test_without_judgements_it_says_what_was_searched(files, capsys):
    found = searched(capsys, BM25, **of_files(files))
    assert found.keys() == {"passages", "queries", "run", "seconds"} and found["run"] is None


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The configuration of a retriever that was trained and evaluated."""
    hooks = [{"type": "EvaluationHook", "interval": 1}, {"type": "BestSnapshotHook"}]
    config = base_config(tmp_path_factory.mktemp("search"), train={"hooks": hooks, "max_epochs": 1})
    trained(config)
    return Path(config.work_dir) / "conf.json"


def test_a_trained_retriever_ranks_as_its_evaluation_did(run, capsys, tmp_path):
    runs = tmp_path / "runs"
    found = searched(capsys, run, "--split", "test", "--runs", runs, "--device", "cpu", run=tmp_path / "fused.trec")
    again = Trainer(model=str(run.parent / "best"), experiment=base_config(tmp_path, train={"hooks": []}), device="cpu")
    scores = again.evaluate(split="test")
    for name in ("bm25", "dense", "fused"):
        assert found[name] == pytest.approx(scores[name])
    assert {path.name for path in runs.iterdir()} == {"bm25.trec", "dense.trec", "fused.trec"}
    assert (tmp_path / "fused.trec").read_bytes() == (runs / "fused.trec").read_bytes()


def test_other_questions_are_asked_of_the_same_base(run, capsys, tmp_path):
    asked = [{"id": "new", "question": "its capital", "image": "red.png"}, {"id": "odd", "question": ""}]
    (tmp_path / "asked.jsonl").write_text("".join(json.dumps(row) + "\n" for row in asked))
    found = searched(capsys, run, queries=tmp_path / "asked.jsonl", run=tmp_path / "out.trec")
    assert (found["queries"], found["passages"]) == (2, 5) and "mrr@100" not in found
    ranked = Run.read(tmp_path / "out.trec")
    assert len(ranked.ranking("new")) == 5 and "odd" not in ranked


def test_a_broken_image_leaves_the_other_questions_their_rankings(run, capsys, tmp_path):
    asked = [{**row, "image": "gone.png"} if row["id"] == "q0" else row for row in QUESTIONS]
    (tmp_path / "asked.jsonl").write_text("".join(json.dumps(row) + "\n" for row in asked))
    searched(capsys, run, "--runs", tmp_path / "runs", queries=tmp_path / "asked.jsonl")
    dense = Run.read(tmp_path / "runs" / "dense.trec")
    assert "q0" not in dense and len(dense.ranking("q1")) == 5
    assert "q0" in Run.read(tmp_path / "runs" / "fused.trec")


def test_judgements_that_fit_nothing_score_0_and_are_told(files, capsys, caplog):
    (files / "none.trec").write_text("")
    found = searched(capsys, BM25, **of_files(files, qrels=files / "none.trec"))
    assert (found["mrr@100"], found["without_relevant"]) == (0, 3)
    (files / "others.trec").write_text("q0 0 p1 1\nq1 0 x9 1\nq2 0 x8 1\n")
    assert searched(capsys, BM25, **of_files(files, qrels=files / "others.trec"))["mrr@100"] == pytest.approx(1 / 3)
    assert "2 of 3 relevant passages are not in the knowledge base, such as 'x8', 'x9'" in caplog.text


def test_an_empty_question_is_counted(files, capsys, caplog):
    (files / "queries.jsonl").write_text('{"id": "q0", "text": " "}\n{"id": "q1", "text": "star"}\n')
    (files / "qrels.trec").write_text("q0 0 p1 1\nq1 0 p2 1\n")
    assert searched(capsys, BM25, **of_files(files, qrels=files / "qrels.trec"))["mrr@100"] == 0.5
    assert "1 of 2 questions of split 'test' have neither text nor image, such as 'q0'" in caplog.text


def test_a_base_or_a_file_of_questions_without_any_is_refused(files, capsys):
    for name in ("corpus", "queries"):
        (files / "empty.jsonl").write_text("\n")
        said = searched(capsys, BM25, **{**of_files(files), name: files / "empty.jsonl"})
        what = "passages" if name == "corpus" else "questions"
        assert re.search(f"expected {what} in .*empty.jsonl, found none", said)


def test_texts_are_read_as_the_configuration_says(files, capsys, shared):
    """The retriever is a directory that says nothing of titles."""
    rows = [{**row, "title": "a blue star"} for row in CORPUS]
    (files / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    encoder = shared / "golden" / "retrieval" / "tiny_bert" / "sentence_transformer"
    dense = {"retrieval.searchers": '{"dense": {"type": "dense"}}', "model.path": encoder, "model.type": "retriever"}
    scores = {}
    for separator in ("null", " "):
        out = files / "run.trec"
        searched(capsys, BM25, **of_files(files, run=out), **dense, **{"retrieval.title_separator": separator})
        scores[separator] = dict(Run.read(out)["q0"])
    assert scores["null"] != scores[" "]


def test_bad_usage_is_told(files, capsys, run, tmp_path):
    assert "no file" in searched(capsys, BM25, **of_files(files, qrels=files / "qrel.trec"))
    assert "--set corpus=FILE" in searched(capsys, BM25)
    joined = {"retrieval.searchers": '{"a": {"type": "bm25"}, "b": {"type": "bm25", "k1": 0.5}}'}
    assert "train and evaluate first, which fits" in searched(capsys, BM25, **of_files(files), **joined)
    assert "no model to score" in searched(capsys, run, work_dir=tmp_path / "nowhere")
    assert "it is a folder" in searched(capsys, BM25, **of_files(files, run=files))


TITLED = [{"id": "p0", "title": "star", "text": "red flag"}, {"id": "p1", "title": "blue", "text": "star flag"}]


@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize(("separator", "first"), [("null", "p1"), (" ", "p0")])
def test_titles_reach_words_and_vectors_alike(files, capsys, shared, separator, first, own):
    encoder = str(shared / "golden" / "retrieval" / "tiny_bert" / "sentence_transformer")
    (files / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in TITLED))
    (files / "queries.jsonl").write_text(
        json.dumps({"id": "q0", "text": "star flag" if separator == "null" else "star red flag"})
    )
    dense = {"type": "dense", **({"encoder": encoder} if own else {})}
    values = {
        "extends": str(BM25), "model": {"type": "retriever", "path": encoder}, "work_dir": str(files / "run"),
        "retrieval": {"searchers": {"bm25": {"type": "bm25"}, "dense": dense}, "fusion": {"method": "none"}},
    }  # fmt: skip
    (files / "conf.json").write_text(json.dumps(values))
    more = {"retrieval.title_separator": separator}
    searched(capsys, files / "conf.json", "--runs", files / "runs", "--device", "cpu", **of_files(files), **more)
    found = Run.read(files / "runs" / "dense.trec")
    assert found["q0"][first] == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("name", ["corpus", "queries", "qrels"])
def test_a_run_does_not_replace_what_is_searched_or_asked(files, capsys, name):
    named = of_files(files, qrels=files / "qrels.trec")
    before = named[name].read_bytes()
    assert "run: " in (said := searched(capsys, BM25, **named, run=named[name])) and "is also an input" in said
    named[name].rename(files / "bm25.trec")
    named[name] = files / "bm25.trec"
    assert "--runs: " in searched(capsys, BM25, "--runs", files, **named)
    assert named[name].read_bytes() == before
    asked = {"data.reader.type": "knowledge_base", "data.reader.passages": "corpus.jsonl", "data.root": files}
    if name == "corpus":
        named[name].rename(files / "corpus.jsonl")
        assert "is also an input" in searched(
            capsys, BM25, **asked, queries=named["queries"], run=files / "corpus.jsonl"
        )
