"""FlickrStyle: a column per style, an example per image and style."""

import pytest
from ofakit.data import READERS
from ofakit.errors import UsageError


def test_flickrstyle(tmp_path, write):
    rows = [{"image": f"{i}.jpg", "humorous": f"h{i}", "romantic": f"r{i}"} for i in range(4)]
    write("flickrstyle/train.jsonl", *rows)
    reader = READERS.build({"type": "flickrstyle"}, root=tmp_path)
    examples = reader.read("train[:50%]")
    assert [(e.id, e.style, e.references, e.text) for e in examples[:2]] == [
        ("0.jpg#humorous", "humorous", ("h0",), None),
        ("0.jpg#romantic", "romantic", ("r0",), None),
    ]
    assert len(examples) == 4
    assert examples[0].image == str(tmp_path / "flickr8k/images/0.jpg")
    only = READERS.build({"type": "flickrstyle", "styles": ["romantic"]}, root=tmp_path).read("train")
    assert {e.style for e in only} == {"romantic"}


def test_columns_files_and_folders_can_be_named(tmp_path, write):
    write("odd.jsonl", {"file": "x.jpg", "sad": ["one", "two"]})
    spec = {"type": "flickrstyle", "splits": {"odd": "odd.jsonl"}, "styles": ["sad"], "image_column": "file"}
    reader = READERS.build({**spec, "images": "photos", "train": None}, root=tmp_path)
    assert reader.splits() == ["val", "test", "odd"]
    (example,) = reader.read("odd")
    assert (example.image, example.references) == (str(tmp_path / "photos/x.jpg"), ("one", "two"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"image": "a", "humorous": "x"}', "expected the column 'romantic'"),
        ('{"imag": "a"}', "did you mean 'imag'"),
        ('{"image": null}', "expected a file name as text .*column 'image', found null"),
        ('{"image": "a", "humorous": 3, "romantic": "x"}', "row 1 .*expected captions as text .*column 'humorous'"),
    ],
)
def test_broken_rows_are_named(tmp_path, write, content, message):
    write("train.file", content)
    with pytest.raises(UsageError, match=message):
        READERS.build({"type": "flickrstyle", "train": "train.file"}, root=tmp_path).read("train")
