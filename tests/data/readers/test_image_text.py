"""Captions as a knowledge base, in both directions."""

from __future__ import annotations

import pytest
from ofakit.data import READERS
from ofakit.data.knowledge_base import KnowledgeBase
from ofakit.data.passage import Passage
from ofakit.data.query import Query
from ofakit.errors import UsageError

ROWS = [{"image": "x.jpg", "captions": ["a dog", "..", "a dog"]}, {"image": "y.jpg", "captions": ["a cat"]}]


def build(root, direction, **splits):
    reader = {"type": "jsonl", **(splits or {"test": "t.jsonl"})}
    return READERS.build({"type": "image_text", "direction": direction, "reader": reader}, root=root)


def test_captions_ask_for_images(tmp_path, write):
    write("t.jsonl", *ROWS)
    reader = build(tmp_path, "text_to_image")
    assert reader.splits() == ["test"]
    assert [(q.id, q.text, q.relevant_ids) for q in reader.read("test")] == [
        ("x.jpg#0", "a dog", ("x.jpg",)),
        ("x.jpg#2", "a dog", ("x.jpg",)),
        ("y.jpg#0", "a cat", ("y.jpg",)),
    ]
    assert list(reader.passages("test"))[0] == Passage("x.jpg", image=str(tmp_path / "x.jpg"))


def test_images_ask_for_captions(tmp_path, write):
    write("t.jsonl", *ROWS)
    reader = build(tmp_path, "image_to_text")
    relevant = {"x.jpg#0": 1.0, "x.jpg#2": 1.0}
    assert reader.read("test")[0] == Query("x.jpg", image=str(tmp_path / "x.jpg"), relevant=relevant)
    assert list(reader.passages("test"))[1] == Passage("x.jpg#2", "a dog", article="x.jpg")


def test_passages_are_those_of_the_split_that_is_asked(tmp_path, write):
    write("t.jsonl", *ROWS)
    write("v.jsonl", {"image": "z.jpg", "caption": "a fish"})
    reader = build(tmp_path, "text_to_image", val="v.jsonl", test="t.jsonl")
    assert [p.id for p in reader.passages("test[1:]")] == ["y.jpg"]
    assert sorted(p.id for p in reader.passages()) == ["x.jpg", "y.jpg", "z.jpg"]
    with pytest.raises(UsageError, match="unknown split 'tset'"):
        list(reader.passages("tset"))


def test_an_image_with_captions_in_two_styles_is_one_passage(tmp_path, write):
    rows = [{"image": "x.jpg", "caption": text, "style": style} for style, text in (("dry", "a dog"), ("odd", "woof"))]
    write("t.jsonl", *rows, {"caption": "no image"})
    reader = build(tmp_path, "text_to_image")
    assert [p.image for p in reader.passages()] == [str(tmp_path / "x.jpg")]
    assert [q.text for q in reader.read("test")] == ["a dog", "woof"]


def test_an_image_without_a_caption_is_kept_and_counted(tmp_path, write, caplog):
    write("t.jsonl", *ROWS, {"image": "z.jpg", "captions": ["."]})
    assert [q.relevant_ids for q in build(tmp_path, "image_to_text").read("test")][2] == ()
    assert "1 of 3 questions of split 'test' have no relevant passage, such as 'z.jpg'" in caplog.text


@pytest.mark.parametrize("direction", ["text_to_image", "image_to_text"])
def test_flickr8k(shared, direction):
    reader = READERS.build(
        {
            "type": "image_text",
            "direction": direction,
            "reader": {"type": "jsonl", "images": "flickr8k/images", "test": "flickr8k/captions_test.jsonl"},
        },
        root=shared / "data",
    )
    queries, base = reader.read("test"), KnowledgeBase(reader.passages("test"))
    assert sorted((len(queries), len(base))) == [1000, 5000]
    assert all(passage in base for query in queries for passage in query.relevant)
    assert {len(query.relevant) for query in queries} == ({1} if direction == "text_to_image" else {5})
