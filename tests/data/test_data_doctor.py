"""The data doctor finds every kind of problem, and none where there is none."""

import json

import pytest
from ofakit.data import Example
from ofakit.data.data_doctor import describe, examine
from PIL import Image


@pytest.fixture
def splits(tmp_path):
    good = [str(tmp_path / f"{k}.png") for k in range(3)]
    for path in good:
        Image.new("RGB", (9, 9), "blue").save(path)
    broken = tmp_path / "broken.png"
    broken.write_bytes((tmp_path / "0.png").read_bytes()[:40])
    return {
        "train": [
            Example("a", good[0], references=("one two", "One  two", "three"), style="dry"),
            Example("b", str(broken), references=("", "..."), style="odd"),
            Example("c", str(tmp_path / "gone.png"), references=("one two",), style="odd"),
            Example("d", None, references=(), style="dry"),
            Example("e", b"no image", text="a b c d e f g"),
        ],
        "test": [Example("f", good[0], references=("x",)), Example("g", good[1], references=("y z",))],
    }


def test_every_problem_is_found(splits, tmp_path):
    report = examine(splits, known_style={"dry"}.__contains__, workers=2)
    train, test = report["splits"]["train"], report["splits"]["test"]
    assert [row["image"] for row in train["missing_images"]] == [str(tmp_path / "gone.png")]
    assert [row["id"] for row in train["broken_images"]] == ["b", "e"]
    assert train["empty_captions"] == ["b", "b"]
    assert train["without_caption"] == ["d"]
    assert train["duplicate_captions"] == [{"id": "a", "caption": "one two"}]
    assert train["repeated_captions"] == 3
    assert train["unknown_styles"] == {"odd": 2}
    assert train["styles"] == {"dry": 2, "odd": 2}
    assert (train["examples"], train["images"], train["captions"], train["without_image"]) == (5, 4, 7, 1)
    assert train["caption_words"]["bins"] == {"1-5": 5, "6-10": 1}
    assert (train["caption_words"]["min"], train["caption_words"]["max"]) == (0, 7)
    assert test["missing_images"] == test["empty_captions"] == []
    assert report["shared_images"] == {"train and test": 1}
    assert report["problems"] == 1 + 2 + 2 + 1 + 1 + 2 + 1
    json.dumps(report)


def test_the_text_names_them(splits):
    text = describe(examine(splits, known_style={"dry"}.__contains__))
    parts = [
        "1 missing image: ",
        "2 broken images",
        "'odd' (2)",
        "2 empty captions: b, b",
        "1 example without a caption: d",
    ]
    parts += [
        "1 duplicate caption: a: 'one two'",
        "3 captions repeat",
        "1 example without an image",
        "dry ###",
        "6-10 #",
    ]
    for part in (*parts, "test: 2 examples, 2 images, 2 captions", "1 image in common"):
        assert part in text
    assert text.endswith("10 problems")


def test_a_style_in_two_spellings_is_one():
    rows = [("Happy", "one"), ("happy ", "One"), ("HAPPY", "two"), ("calm", "one"), (" ", "three")]
    examples = [Example(str(k), "a.jpg", references=(text,), style=style) for k, (style, text) in enumerate(rows)]
    train = examine({"train": examples}, known_style={"Happy"}.__contains__, decode=False)["splits"]["train"]
    assert train["styles"] == {"Happy": 3, "calm": 1}
    assert train["unknown_styles"] == {"calm": 1}
    assert train["duplicate_captions"] == [{"id": "0", "caption": "one"}]


def test_without_decoding_images_are_left_alone(splits):
    train = examine(splits, decode=False)["splits"]["train"]
    assert train["missing_images"] == train["broken_images"] == []
    assert train["unknown_styles"] == {}


def test_nothing_at_all():
    report = examine({"train": []})
    assert report["problems"] == 1
    assert describe(report).endswith("train: the split is empty\n1 problem")
    assert describe(examine({})).endswith("no problems")


def test_of_many_problems_the_first_few_are_shown():
    examples = [Example(str(k), None, references=("",), style=f"style {k:02d}") for k in range(25)]
    text = describe(examine({"train": examples}))
    assert "25 empty captions: 0, 1, 2, 3, 4, …\n" in text
    assert text.count("style ") == 20 and "    and 5 more\n" in text


def test_progress_counts_every_image_once(splits):
    seen = []
    examine(splits, workers=2, progress=lambda done, of: seen.append((done, of)))
    assert seen == [(k, 5) for k in range(1, 6)]
