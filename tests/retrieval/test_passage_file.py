"""Passages of a JSONL file, read when they are asked for."""

from __future__ import annotations

import json

import pytest
from ofakit.data.passage import Passage
from ofakit.errors import UsageError
from ofakit.retrieval.passage_file import PassageFile


def write(path, rows, separator="\n"):
    path.write_text(separator.join(json.dumps(row, ensure_ascii=False) for row in rows) + "\n", encoding="utf-8")
    return path


def test_all_keys_are_read(tmp_path):
    row = {"id": "DZ-00", "text": "Añ", "title": "Algeria", "image": "a/DZ.png", "article": "DZ", "section": "x"}
    (found,) = PassageFile(write(tmp_path / "p.jsonl", [row]))
    assert found == Passage("DZ-00", "Añ", "Algeria", tmp_path / "a/DZ.png", "DZ")


def test_images_may_be_elsewhere(tmp_path):
    path = write(tmp_path / "p.jsonl", [{"id": 7, "image": "DZ.png"}])
    assert PassageFile(path, "/photos")[0] == Passage("7", image=PassageFile(path, "/photos").images / "DZ.png")


@pytest.mark.parametrize("separator", ["\n", "\n\n  \n"])
def test_every_slice_is_what_it_is_of_a_list(tmp_path, separator):
    rows = [{"id": f"p{n}", "text": "word " * (n % 7)} for n in range(1000)]
    passages = PassageFile(write(tmp_path / "p.jsonl", rows, separator))
    whole = list(passages)
    assert len(passages) == 1000 and [passage.id for passage in whole] == [row["id"] for row in rows]
    for place in (slice(250, 260), slice(990, 2000), slice(5, 5), slice(7, 3), slice(None, None, 300), slice(-3, None)):
        assert passages[place] == whole[place]
    assert passages[-1].id == "p999"
    with pytest.raises(IndexError):
        passages[1000]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"text": "a"}', "expected the column 'id'"),
        ('{"id": ""}', "expected an id"),
        ('{"id": "a", "text": 3}', "expected a text as text"),
        ("[1]", "expected one JSON object per line"),
        ("{", "expected one JSON object per line"),
    ],
)
def test_a_bad_line_is_named(tmp_path, line, message):
    path = tmp_path / "p.jsonl"
    path.write_text('{"id": "a"}\n' + line + "\n")
    with pytest.raises(UsageError, match=f"{message}.*p.jsonl, passage 2"):
        PassageFile(path)[1]


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UsageError, match="expected passages in .*p.jsonl"):
        PassageFile(tmp_path / "p.jsonl")


def test_a_corpus_of_beir_is_read(tmp_path):
    (tmp_path / "corpus.jsonl").write_text('{"_id": "7", "title": "t", "text": "x", "metadata": {}}\n')
    assert list(PassageFile(tmp_path / "corpus.jsonl")) == [Passage("7", "x", "t")]
