"""Missing and unreadable images at training: counted, skipped, listed, and an error once they are too many."""

import json

import pytest
from ofakit.data import BadExamples, Example, ImageStore, usable_examples
from ofakit.errors import UsageError
from PIL import Image


@pytest.fixture
def examples(tmp_path):
    good = tmp_path / "good.png"
    Image.new("RGB", (9, 9), "blue").save(good)
    broken = tmp_path / "broken.png"
    broken.write_bytes(good.read_bytes()[:40])
    return [
        Example("good", str(good), "x"),
        Example("missing", tmp_path / "missing.png", "x", style="dry"),
        Example("text only", None, "x"),
        Example("broken", str(broken), "x"),
        Example("bytes", good.read_bytes(), "x"),
        Example("broken bytes", b"zzz", "x"),
        Example("pil", Image.new("RGB", (5, 5)), "x"),
    ]


def test_bad_images_are_counted_skipped_and_listed(tmp_path, examples):
    bad = BadExamples(0.5, tmp_path / "run" / "bad_examples.jsonl")
    usable = usable_examples(examples, ImageStore(tmp_path / "store", 8), bad)
    assert [e.id for e in usable] == ["good", "text only", "bytes", "pil"]
    assert bad.counts == {"bad image": 3}
    rows = [json.loads(line) for line in bad.path.read_text().splitlines()]
    assert [row["id"] for row in rows] == ["missing", "broken", "broken bytes"]
    missing = {"image": str(examples[1].image), "style": "dry", "kind": "bad image", "reason": "no such file"}
    assert rows[0] == {"id": "missing", **missing}
    assert [p.name for p in bad.path.parent.iterdir()] == ["bad_examples.jsonl"]


def test_too_many_are_an_error_and_listed_all_the_same(tmp_path, examples):
    bad = BadExamples(0.4, tmp_path / "bad_examples.jsonl")
    with pytest.raises(UsageError, match=r"(?s)3 of 7 examples.*max_bad_fraction = 0.4.*missing.png: no such file"):
        usable_examples(examples, ImageStore(tmp_path / "store", 8), bad)
    assert len(bad.path.read_text().splitlines()) == 3


def test_empty_captions_do_not_count_towards_the_limit(tmp_path):
    bad = BadExamples(0.0)
    bad.add(Example("a"), "empty caption", "empty")
    bad.check(1)
    assert bad.counts == {"empty caption": 1}


def test_an_empty_list_takes_the_old_one_away(tmp_path):
    path = tmp_path / "bad_examples.jsonl"
    path.write_text("old")
    BadExamples(path=path).write()
    assert not path.exists()
    BadExamples(path=path).write()
