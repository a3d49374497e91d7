"""`ofakit data passages`: what it writes, and that it reads it as a base."""

from __future__ import annotations

import json

import pytest
from ofakit.cli.data import main
from ofakit.data import READERS

from .conftest import last_line

ARTICLES = [
    {"id": "FR", "title": "France", "text": ["It is a country. It is in Europe.", "It is old."], "image": "fr.png"},
    {"id": "XX", "title": "Nowhere", "text": ""},
]


@pytest.fixture
def articles(tmp_path):
    path = tmp_path / "articles.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ARTICLES))
    return path


def test_passages_are_written_and_read(tmp_path, articles, capsys):
    out = tmp_path / "deep" / "passages.jsonl"
    assert main(["passages", "--articles", str(articles), "--out", str(out), "--max-words", "6"]) == 0
    found = last_line(capsys.readouterr().out)
    assert found == {"output": str(out), "articles": 2, "passages": 3, "words": 11, "empty": 1}
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    expected = {"id": "FR-0", "article": "FR", "title": "France", "text": "It is a country.", "image": "fr.png"}
    assert rows[0] == expected
    reader = READERS.build({"type": "knowledge_base", "passages": "passages.jsonl"}, root=out.parent)
    assert [(p.id, p.article, p.title) for p in reader.passages()][1] == ("FR-1", "FR", "France")


def test_several_files_columns_and_counts(tmp_path, articles, capsys):
    (tmp_path / "more.jsonl").write_text(json.dumps({"key": "DE", "text": "One two. Three four five."}) + "\n")
    out = str(tmp_path / "p.jsonl")
    arguments = ["passages", "--articles", str(articles), str(tmp_path / "more.jsonl"), "--out", out]
    assert main([*arguments, "--count", "whitespace", "--max-words", "3"]) == 2
    assert "more.jsonl, line 1: available: key, text. Name another with columns" in capsys.readouterr().err
    more = ["passages", "--articles", str(tmp_path / "more.jsonl"), "--out", out, "--columns", '{"id": "key"}']
    assert main([*more, "--count", "whitespace", "--max-words", "3"]) == 0
    assert last_line(capsys.readouterr().out)["passages"] == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--columns", '{"txt": "x"}'], "unknown field 'txt' in 'columns'"),
        (["--columns", "[]"], "--columns expects a JSON object"),
        (["--count", "/nowhere"], "expected words, whitespace or a tokenizer"),
        (["--columns", '{"title": "headline"}'], "columns names 'headline'"),
    ],
)
def test_what_is_wrong_is_named_and_nothing_is_written(tmp_path, articles, capsys, arguments, message):
    out = tmp_path / "out" / "p.jsonl"
    assert main(["passages", "--articles", str(articles), "--out", str(out), *arguments]) == 2
    assert message in capsys.readouterr().err
    assert not out.exists()


def test_articles_are_not_written_over(tmp_path, articles, capsys):
    before = articles.read_bytes()
    for named in (articles, tmp_path):
        assert main(["passages", "--articles", str(named), "--out", str(articles)]) == 2
        assert "--out: " in (said := capsys.readouterr().err) and "is also an input and would be overwritten" in said
    assert articles.read_bytes() == before
