"""What is searched and what is asked: files that a command line names, or the experiment's own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ofakit.config import parse_config
from ofakit.data.search_files import read_corpus, read_queries
from ofakit.errors import UsageError
from PIL import Image


def lines(path: Path, *rows) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def config(reader=None, **values):
    """An experiment; without a reader it is one whose examples are given in Python."""
    data = values.pop("data", {})
    return parse_config({"data": {**data, "reader": reader or {"type": "given"}}, **values})


@pytest.fixture
def base(tmp_path):
    """A reader of a base with one passage, and of one question in each of two splits."""
    root = tmp_path / "base"
    lines(root / "passages.jsonl", {"id": "own", "text": "the base's"})
    lines(root / "train.jsonl", {"id": "t", "question": "train", "relevant": ["own"]})
    lines(root / "test.jsonl", {"id": "q", "question": "test", "relevant": ["own"]})
    return {"type": "knowledge_base", "passages": "passages.jsonl", "train": "train.jsonl", "test": "test.jsonl",
            "images": "pictures"}, {"root": str(root)}  # fmt: skip


def test_files_of_the_command_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lines(tmp_path / "corpus.jsonl", {"id": "p", "text": "one", "title": "T"}, {"id": "r", "text": ""})
    lines(tmp_path / "queries.jsonl", {"id": "1", "text": "what", "relevant": ["r"]}, {"id": "2", "text": ""})
    (tmp_path / "test.trec").write_text("1 0 p 2\n")
    found = config(corpus="corpus.jsonl", queries="queries.jsonl", qrels="test.trec")
    assert [(p.id, p.titled()) for p in read_corpus(found)] == [("p", "T one"), ("r", "")]
    assert [(q.id, q.relevant) for q in read_queries(found)] == [("1", {"p": 2.0}), ("2", {})]
    unjudged = config(corpus="corpus.jsonl", queries="queries.jsonl")
    assert [q.relevant for q in read_queries(unjudged)] == [{"r": 1.0}, {}]


def test_the_experiments_own(base):
    reader, data = base
    found = config(reader, data=data)
    assert [p.id for p in read_corpus(found)] == ["own"]
    assert [q.id for q in read_queries(found)] == ["q"] and [q.id for q in read_queries(found, "train")] == ["t"]


def test_judgements_of_a_file_replace_those_of_the_reader(base, tmp_path):
    reader, data = base
    (tmp_path / "other.trec").write_text("q 0 other 1\nz 0 own 1\n")
    assert [q.relevant for q in read_queries(config(reader, data=data, qrels=str(tmp_path / "other.trec")))] == [
        {"other": 1.0}
    ]


def test_files_have_the_columns_of_the_experiments_reader(tmp_path):
    reader = {"type": "knowledge_base", "passages": "none.jsonl", "test": "none.jsonl",
              "passage_columns": {"text": "body"}, "query_columns": {"text": "ask"}}  # fmt: skip
    corpus = lines(tmp_path / "corpus.jsonl", {"id": "p", "body": "words", "text": "no"})
    queries = lines(tmp_path / "queries.jsonl", {"id": "1", "ask": "what", "text": "no"})
    found = config(reader, corpus=corpus, queries=queries, data={"root": str(tmp_path)})
    assert next(iter(read_corpus(found))).text == "words" and read_queries(found)[0].text == "what"


def test_images_of_questions_are_beside_their_file_or_where_the_readers_are(base, tmp_path):
    reader, data = base
    for place in (tmp_path / "asked" / "a.png", Path(data["root"]) / "pictures" / "b.png"):
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4)).save(place)
    rows = [{"id": name, "text": name, "image": f"{name}.png"} for name in "abc"]
    found = read_queries(config(reader, data=data, queries=lines(tmp_path / "asked" / "queries.jsonl", *rows)))
    assert found[0].image_path == str(tmp_path / "asked" / "a.png")
    assert found[1].image_path == str(Path(data["root"]) / "pictures" / "b.png")
    assert found[2].image_path == str(tmp_path / "asked" / "c.png")


@pytest.mark.parametrize("read", [read_corpus, read_queries])
def test_an_experiment_without_passages_says_what_to_name(read):
    with pytest.raises(
        UsageError, match="--set corpus=FILE --set queries=FILE, or a data.reader that reads a knowledge base"
    ):
        read(config({"type": "scenes"}))


def test_a_file_that_is_not_there_is_named_with_the_nearest(tmp_path):
    lines(tmp_path / "corpus.jsonl", {"id": "p", "text": "one"})
    with pytest.raises(UsageError, match=r"no file .*corpsu\.jsonl: did you mean 'corpus\.jsonl'"):
        read_corpus(config(corpus=str(tmp_path / "corpsu.jsonl")))
    with pytest.raises(UsageError, match=r"no file .*its folder is missing"):
        read_queries(config(queries=str(tmp_path / "nowhere" / "queries.jsonl")))


def test_a_split_that_is_null_asks_nothing(base):
    reader, data = base
    with pytest.raises(UsageError, match="data.val is null: name a file with --set queries=FILE"):
        read_queries(config(reader, data={**data, "val": None}), "val")


def test_duplicate_ids_are_refused_with_both_places(tmp_path):
    twice = lines(tmp_path / "twice.jsonl", {"id": "p", "text": "one"}, {"id": "p", "text": "two"})
    with pytest.raises(UsageError, match=r"'p'"):
        read_corpus(config(corpus=twice))
    with pytest.raises(UsageError, match=r"'p'"):
        read_queries(config(queries=twice))
