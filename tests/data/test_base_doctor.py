"""The doctor of knowledge bases finds every kind of problem, and none where there is none."""

from __future__ import annotations

import json

import pytest
from ofakit.data.base_doctor import describe_base, examine_base
from ofakit.data.passage import Passage
from ofakit.data.query import Query
from PIL import Image

LONG = "the quick brown fox jumps over the lazy dog while a grey cat looks on from a high wall in the warm sun"


@pytest.fixture
def images(tmp_path):
    paths = {name: str(tmp_path / f"{name}.png") for name in ("a", "b", "broken", "gone")}
    for name in ("a", "b"):
        Image.new("RGB", (9, 9), "blue").save(paths[name])
    (tmp_path / "broken.png").write_bytes(b"no image")
    return paths


@pytest.fixture
def report(images):
    passages = [
        Passage("a-0", LONG, "T", images["a"], "a"),
        Passage("a-1", f"{LONG} again", "T", images["a"], "a"),
        Passage("b-0", "one two", "T", images["gone"], "b"),
        Passage("b-1", "One  two", "T", images["gone"], "b"),
        Passage("c", "", "only a title"),
        Passage("d", " ... "),
        Passage("e"),
        Passage("f", image=images["b"]),
        Passage("e"),
    ]
    splits = {
        "train": [
            Query("1", "what?", images["a"], {"a-0": 1.0}),
            Query("2", "", relevant={"b-0": 1.0, "zz": 0.0}),
            Query("3", "why?", images["broken"], {"c": 0.0}),
        ],
        "test": [Query("4", "who?", images["broken"], {"a-1": 1.0}), Query("5", image=images["gone"]), Query("6")],
        "val": [],
    }
    return examine_base(iter(passages), splits, workers=2)


def test_every_problem_is_found(report, images):
    base, train, test = report["passages"], report["splits"]["train"], report["splits"]["test"]
    assert (base["passages"], base["articles"], base["images"], base["words"]) == (9, 6, 3, 52)
    assert base["repeated_ids"] == ["e"] and base["empty_passages"] == ["c", "d", "e", "e"]
    assert base["duplicate_passages"] == ["b-1 = b-0"]
    assert base["near_duplicates"] == ["a-1 ~ a-0"]
    assert [row["image"] for row in base["missing_images"]] == [images["gone"]]
    assert base["passage_words"]["bins"] == {"1-20": 3, "21-40": 2}
    assert (train["questions"], train["images"], train["relevant"], train["articles"]) == (3, 2, 2, 2)
    assert train["empty_questions"] == ["2"] and train["without_relevant"] == ["3"]
    assert train["unknown_passages"] == ["2: zz"]
    assert [row["id"] for row in train["broken_images"]] == ["3"]
    assert test["empty_questions"] == ["6"] and test["without_relevant"] == ["5", "6"]
    assert report["shared_images"] == {"train and test": 1}
    assert report["shared_articles"] == {"train and test": 1}
    assert report["images_in_base"] == {"train": 1, "test": 1}
    assert report["empty_splits"] == ["val"]
    assert report["problems"] == 1 + 4 + 1 + 1 + (1 + 1 + 1 + 1) + (1 + 2 + 1 + 1) + 1 + 2 + 1
    json.dumps(report)


def test_the_text_names_them(report):
    text = describe_base(report)
    parts = [
        "base: 9 passages, 6 articles, 3 images, 52 words",
        "1 repeated id: e",
        "4 empty passages: c, d, e, e",
        "1 near duplicate: a-1 ~ a-0 (not necessarily a problem)",
        "train: 3 questions, 2 images, 2 relevant passages of 2 articles",
        "1 question without a relevant passage: 3",
        "1 unknown relevant passage: 2: zz",
        "train and test: 1 article in common",
        "test: 1 image also in the base",
        "val: the split is empty",
        f"{report['problems']} problems",
    ]
    assert [part for part in parts if part not in text] == []


def test_a_sound_base_has_no_problems(images):
    passages = [Passage("a", "one two three", image=images["a"]), Passage("b", "four five six")]
    splits = {"train": [Query("1", "x?", images["b"], {"a": 1.0})], "test": [Query("2", "y?", relevant={"b": 1.0})]}
    report = examine_base(passages, splits)
    assert report["problems"] == 0 and report["shared_articles"] == {}
    assert describe_base(report).endswith("no problems")


def test_images_are_left_alone_on_request(images):
    report = examine_base([Passage("a", "x", image=images["gone"])], {}, decode=False)
    assert report["problems"] == 0


def test_flag_kb_is_sound_and_its_splits_share_no_country(shared):
    from ofakit.data import READERS

    files = {split: f"questions_{split}.jsonl" for split in ("train", "val", "test")}
    spec = {"type": "knowledge_base", "passages": "passages.jsonl", "articles": "entities.jsonl", **files}
    reader = READERS.build(spec, root=shared / "data" / "flag_kb")
    splits = {split: reader.read(split) for split in files}
    report = examine_base(reader.passages(), splits, decode=False)
    assert report["problems"] == 0 and report["shared_articles"] == {}
    assert report["passages"]["articles"] == 236 and len(report["passages"]["near_duplicates"]) == 6
