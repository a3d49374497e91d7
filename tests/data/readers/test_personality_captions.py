"""Personality-Captions: a JSON list of comments, the test split with further references."""

import pytest
from ofakit.data import READERS
from ofakit.errors import UsageError

ROWS = [
    {"personality": "Sweet", "comment": "aw", "image_hash": "h1"},
    {"personality": "Dry", "comment": "ok", "image_hash": "h1"},
    {"personality": "Sweet", "comment": "aww", "image_hash": "h2", "additional_comments": ["nice", "oh"]},
]


def test_personality_captions(tmp_path, write):
    write("train.json", ROWS)
    examples = READERS.build({"type": "personality_captions"}, root=tmp_path).read("train")
    assert [(e.id, e.style, e.references) for e in examples] == [
        ("h1#Sweet", "Sweet", ("aw",)),
        ("h1#Dry", "Dry", ("ok",)),
        ("h2#Sweet", "Sweet", ("aww", "nice", "oh")),
    ]
    assert examples[0].image == str(tmp_path / "images/h1.jpg")


def test_a_blank_personality_is_no_style_and_images_may_have_another_extension(tmp_path, write):
    write("val.json", [{"personality": " ", "comment": "aw", "image_hash": "h1", "additional_comments": None}])
    spec = {"type": "personality_captions", "extension": ".png", "images": "yfcc"}
    (example,) = READERS.build(spec, root=tmp_path).read("val")
    assert (example.id, example.style, example.references) == ("h1", None, ("aw",))
    assert example.image == str(tmp_path / "yfcc/h1.png")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            '[{"personality": 1, "comment": "x", "image_hash": "h"}]',
            "row 1 .*expected a style as text .*train.file, column 'personality', found 1",
        ),
        ('[{"personality": "Dry", "comment": "x", "image_hash": null}]', "column 'image_hash', found null"),
        ('[{"personality": "Dry", "image_hash": "h"}]', "expected the column 'comment'"),
        ("{}", "expected a JSON list"),
        ("[", "expected rows of split"),
        ("[3]", "expected JSON objects"),
    ],
)
def test_broken_rows_are_named(tmp_path, write, content, message):
    write("train.file", content)
    with pytest.raises(UsageError, match=message):
        READERS.build({"type": "personality_captions", "train": "train.file"}, root=tmp_path).read("train")
