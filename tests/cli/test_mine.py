"""The tool that mines negatives: its files, its counts, and what it refuses."""

from __future__ import annotations

import json

import pytest
from ofakit.cli.mine import main
from ofakit.hub import save_bundle
from ofakit.retrieval.negatives import read_mined
from ofakit.retrieval.teacher_scores import read_teacher_scores

from tests.inference.cross_encoders import save_cross_encoder
from tests.inference.test_embedder import bundle_of
from tests.models.encoders.kinds import KINDS

PASSAGES = [
    {"id": "p0", "text": "a b c", "title": "z", "type": "letter", "article": "A"},
    {"id": "p1", "text": "a b d", "title": "z", "type": "letter", "article": "B"},
    {"id": "p2", "text": "x y e", "title": "z", "type": "letter", "article": "A"},
    {"id": "p3", "text": "q r s", "title": "z", "type": "word", "article": "A"},
    {"id": "p4", "text": "k l m", "title": "z", "type": "word", "article": "C"},
]
QUESTIONS = [
    {"id": "q1", "text": "a ?", "relevant": ["p0"], "answers": ["e"]},
    {"id": "q2", "text": "b ?", "relevant": ["p4"]},
    {"id": "q3", "text": "c ?", "relevant": []},
]
RUN = """q1 Q0 p1 1 9.5 bm25
q1 Q0 p0 2 8 bm25
q1 Q0 p2 3 7 bm25
q1 Q0 p3 4 1 bm25
q2 Q0 p0 1 3 bm25
"""


@pytest.fixture
def files(tmp_path):
    for name, rows in (("corpus.jsonl", PASSAGES), ("queries.jsonl", QUESTIONS)):
        (tmp_path / name).write_text("\n".join(map(json.dumps, rows)))
    (tmp_path / "bm25.trec").write_text(RUN)
    return tmp_path


def mine(files, capsys, *arguments, data=True):
    given = ["--corpus", str(files / "corpus.jsonl"), "--queries", str(files / "queries.jsonl")] if data else []
    code = main([*given, "--out", str(files / "out" / "negatives.jsonl"), *map(str, arguments)])
    printed = capsys.readouterr()
    if code:
        return printed.err
    counts = json.loads(printed.out.splitlines()[-1])
    return {question.query: question for question in read_mined(files / "out" / "negatives.jsonl")}, counts


def test_negatives_of_a_run(files, capsys):
    found, counts = mine(files, capsys, "--run", files / "bm25.trec")
    assert {name: question.negatives for name, question in found.items()} == {"q1": ("p1", "p3"), "q2": ("p0",)}
    assert found["q1"].scores == {"p0": 8.0, "p1": 9.5, "p3": 1.0}
    wanted = {"questions": 2, "negatives": 3, "without_positive": 1, "dropped_answer": 1, "dropped_relevant": 1}
    assert {name: counts[name] for name in wanted} == wanted and counts["file"].endswith("negatives.jsonl")


def test_qrels_replace_what_the_questions_say(files, capsys):
    (files / "train.qrels").write_text("q1 0 p1 1\nq1 0 p0 0\n")
    found, _ = mine(files, capsys, "--run", files / "bm25.trec", "--qrels", files / "train.qrels", "--keep-answers")
    assert found["q1"].positives == ("p1",) and found["q1"].negatives == ("p0", "p2", "p3")


@pytest.mark.parametrize(
    ("options", "negatives"),
    [
        (["--ranks", "2-4"], ("p3",)),
        (["--number", "1"], ("p1",)),
        (["--absolute-margin", "1"], ("p3",)),
        (["--relative-margin", "0.5"], ("p3",)),
        (["--max-score", "9.4"], ("p3",)),
        (["--sampling", "random", "--number", "1", "--seed", "2"], None),
    ],
)
def test_its_options_reach_the_miner(files, capsys, options, negatives):
    found, _ = mine(files, capsys, "--run", files / "bm25.trec", *options)
    assert found["q1"].negatives == negatives or (negatives is None and len(found["q1"].negatives) == 1)


def test_random_ones_share_a_column_with_a_positive(files, capsys):
    none = ["--number", 0, "--random", 3]
    found, _ = mine(files, capsys, *none, "--random-group", "type")
    assert {name: sorted(question.negatives) for name, question in found.items()} == {"q1": ["p1"], "q2": ["p3"]}
    found, _ = mine(files, capsys, *none, "--random-group", "article")
    assert {name: sorted(question.negatives) for name, question in found.items()} == {"q1": ["p3"], "q2": []}
    found, _ = mine(files, capsys, *none)
    assert sorted(found["q1"].negatives) == ["p1", "p3", "p4"] and len(found["q2"].negatives) == 3


def test_a_cross_encoder_scores_what_a_teacher_needs(files, capsys):
    folder = save_cross_encoder(files / "cross")
    arguments = ["--run", files / "bm25.trec", "--model", folder, "--device", "cpu"]
    found, _ = mine(files, capsys, *arguments)
    scores = read_teacher_scores(files / "out" / "negatives.jsonl")["q1"]
    assert scores.keys() == {"p0", "p1", "p3"} == {*found["q1"].positives, *found["q1"].negatives}
    negatives = found["q1"].negatives
    assert scores[negatives[0]] > scores[negatives[1]]
    limit = (scores[negatives[0]] + scores[negatives[1]]) / 2
    found, counts = mine(files, capsys, *arguments, "--max-score", limit)
    assert found["q1"].negatives == negatives[1:] and counts["dropped_score"] >= 1
    found, _ = mine(files, capsys, *arguments, "--probabilities")
    assert all(0 < score < 1 for score in found["q1"].scores.values())


def test_a_configuration_says_where_questions_and_passages_are(files, capsys):
    reader = {"type": "knowledge_base", "passages": "corpus.jsonl", "train": "queries.jsonl"}
    values = {"task": "multimodal-retrieval", "data": {"root": str(files), "reader": reader, "train": "train[:1]"}}
    (files / "conf.json").write_text(json.dumps(values))
    arguments = ["--conf", files / "conf.json", "--run", files / "bm25.trec"]
    found, counts = mine(files, capsys, *arguments, data=False)
    assert found["q1"].negatives == ("p1", "p3") and counts["questions"] == 1
    found, _ = mine(files, capsys, *arguments, "--set", "data.train=train", data=False)
    assert set(found) == {"q1", "q2"}
    assert "leave out --corpus and --queries" in mine(files, capsys, *arguments)


def test_searchers_of_the_configuration_search(files, capsys):
    reader = {"type": "knowledge_base", "passages": "corpus.jsonl", "train": "queries.jsonl"}
    searchers = {"words": {"type": "bm25", "stopwords": None}, "dense": {"type": "dense"}}
    values = {"task": "multimodal-retrieval", "data": {"root": str(files), "reader": reader}}
    values |= {"retrieval": {"searchers": searchers}, "work_dir": str(files / "work")}
    (files / "conf.json").write_text(json.dumps(values))
    for name, rows in (("corpus.jsonl", PASSAGES), ("queries.jsonl", QUESTIONS)):  # BM25 counts no single letters
        longer = [{**row, "text": " ".join(2 * word for word in row["text"].split())} for row in rows]
        (files / name).write_text("\n".join(map(json.dumps, longer)))
    retriever = save_bundle(bundle_of(encoder=KINDS["bag"]), files / "retriever")
    arguments = ["--conf", files / "conf.json", "--keep-answers", "--searcher"]
    found, _ = mine(files, capsys, *arguments, "words", data=False)
    assert found["q1"].negatives == ("p1",) and sorted(found["q2"].negatives) == ["p0", "p1"]
    found, counts = mine(files, capsys, *arguments, "dense", "--checkpoint", retriever, "--ranks", "1-4", data=False)
    assert len(found["q1"].negatives) == 3 and counts["without_ranking"] == 0
    assert "no model to score" in mine(files, capsys, *arguments, "dense", data=False)
    assert "there is no 'word': did you mean 'words'" in mine(files, capsys, *arguments, "word", data=False)


def test_a_base_on_disk_gives_the_same_file(files, capsys):
    reader = {"type": "knowledge_base", "passages": "corpus.jsonl", "train": "queries.jsonl"}
    values = {"task": "multimodal-retrieval", "data": {"root": str(files), "reader": reader}}
    (files / "conf.json").write_text(json.dumps(values))
    arguments = ["--conf", files / "conf.json", "--run", files / "bm25.trec", "--random", 1, "--random-group", "type"]
    written = []
    for more in ([], ["--set", f"data.base_folder={files / 'bases'}"]):
        mine(files, capsys, *arguments, *more, data=False)
        written.append((files / "out" / "negatives.jsonl").read_bytes())
    assert written[0] == written[1] and (files / "bases").is_dir()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--searcher", "bm25"], "--searcher: expected --conf"),
        ([], "a ranking to take hard negatives from"),
        (["--run", "other.trec"], "has no ranking for any of the 3 questions; its queries are such as elsewhere"),
        (["--run", "missing.trec"], "missing.trec"),
        (["--run", "bm25.trec", "--ranks", "5"], "--ranks: expected two ranks such as 10-100, found '5'"),
        (["--run", "bm25.trec", "--ranks", "9-3"], "ranks of at least 1, found 9 to 3"),
        (["--run", "bm25.trec", "--probabilities"], "--probabilities: expected a --model"),
        (["--random", "1", "--number", "0", "--random-group", "kind"], "expected the column 'kind'"),
        (["--run", "stranger.trec"], "no passage 'zz'"),
    ],
)
def test_bad_usage_is_told(files, capsys, monkeypatch, arguments, message):
    monkeypatch.chdir(files)
    (files / "other.trec").write_text("elsewhere Q0 p1 1 2 x\n")
    (files / "stranger.trec").write_text("q1 Q0 zz 1 2 x\n")
    assert message in mine(files, capsys, *arguments)


def test_without_data_it_says_what_is_missing(files, capsys):
    assert "--corpus and --queries, or --conf; --corpus is missing" in mine(files, capsys, data=False)
    folder = files / "out"
    folder.mkdir()
    assert main(["--corpus", "a", "--queries", "b", "--out", str(folder)]) == 2
    assert "it is a folder" in capsys.readouterr().err
