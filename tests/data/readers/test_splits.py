"""Readers of one file per split: what is counted, what is joined, and where a fault stands."""

import pytest
from ofakit.data import Example
from ofakit.data.readers._splits import FileReader
from ofakit.errors import UsageError


class Captions(FileReader):
    """A row is {"image", "text", "style"}."""

    def examples(self, row, split):
        if "text" not in row:
            raise UsageError("expected a text")
        name = f"{row['image']}#{row['style']}"
        return [Example(name, str(self.images / row["image"]), references=(row["text"],), style=row["style"])]


def captions(root, **files):
    return Captions(root, {"train": "train.jsonl", "val": None, **files}, "photos")


def row(image, text, style="dry"):
    return {"image": image, "text": text, "style": style}


def test_a_split_without_a_file_is_none(tmp_path):
    reader = captions(tmp_path, test="sub/test.jsonl")
    assert reader.splits() == ["train", "test"]
    assert reader.files["test"] == tmp_path / "sub/test.jsonl" and reader.images == tmp_path / "photos"
    with pytest.raises(UsageError, match="unknown split 'val' in 'val': available: test, train"):
        reader.read("val")


def test_without_a_root_paths_start_in_the_working_directory(tmp_path, write, monkeypatch):
    write("train.jsonl", row("a.jpg", "one"))
    monkeypatch.chdir(tmp_path)
    assert captions(None).read("train")[0].image == "photos/a.jpg"


def test_the_home_directory_is_found(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert captions("~/data").root == tmp_path / "data"


def test_slices_count_rows_and_what_has_one_identity_is_joined(tmp_path, write):
    rows = [row("a.jpg", "one"), row("b.jpg", "two"), row("a.jpg", "three", "Dry"), row("a.jpg", "four", "odd")]
    write("train.jsonl", *rows)
    reader = captions(tmp_path)
    found = [(e.id, e.references, e.text) for e in reader.read("train")]
    assert found == [
        ("a.jpg#dry", ("one", "three"), None),
        ("b.jpg#dry", ("two",), None),
        ("a.jpg#odd", ("four",), None),
    ]
    assert [e.references for e in reader.read("train[:2]")] == [("one",), ("two",)]
    assert [e.references for e in reader.read("train[-2:]+train[:1]")] == [("three", "one"), ("four",)]


def test_a_fault_names_the_row_of_the_file_and_its_split(tmp_path, write):
    write("train.jsonl", row("a.jpg", "one"), row("b.jpg", "two"), {"image": "c.jpg"})
    with pytest.raises(UsageError, match="^row 3 of split 'train': expected a text$"):
        captions(tmp_path).read("train[1:]")
    assert len(captions(tmp_path).read("train[:2]")) == 2
