"""Every reader has the two verbs, says what is missing in the same words, and is found by the name of its file."""

import json
import sys

import pytest
from ofakit.data import READERS, Example, readers
from ofakit.errors import UsageError


@pytest.mark.parametrize("name", READERS.names())
def test_every_reader_has_the_two_verbs(name):
    reader = READERS.get(name)
    assert callable(reader.splits)
    assert callable(reader.read)


NEW = '''
"""My captions: {"type": "mine", "root": "DIR"}"""

from ofakit.data.example import Example

__all__ = ["Mine"]


class Mine:
    def __init__(self, root: str, language: str = "en") -> None:
        self.root = root
        self.language = language

    def splits(self) -> list[str]:
        return ["train"]

    def read(self, split: str) -> list[Example]:
        return [Example("1", f"{self.root}/a.jpg", references=(f"a dog in {self.language}",), style="calm")]
'''


def test_a_new_reader_is_one_new_file(tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text(NEW)
    monkeypatch.setattr(readers, "__path__", [*readers.__path__, str(tmp_path)])
    monkeypatch.setitem(sys.modules, "ofakit.data.readers.mine", None)
    del sys.modules["ofakit.data.readers.mine"]
    assert "mine" in READERS.names()
    expected = Example("1", "DIR/a.jpg", references=("a dog in de",), style="calm")
    assert READERS.build({"type": "mine", "language": "de"}, root="DIR").read("train") == [expected]
    joined = READERS.build({"type": "joined", "readers": [{"type": "mine", "language": "de"}]}, root="DIR")
    assert joined.read("train") == [expected]
    with pytest.raises(UsageError, match="unknown key 'langage' for reader 'mine': did you mean 'language'"):
        READERS.build({"type": "mine", "langage": "de"}, root="DIR")


def test_a_typo_in_a_reader_names_the_nearest_key():
    with pytest.raises(UsageError, match="did you mean 'images'"):
        READERS.build({"type": "flickrstyle", "image": "x"}, root=".")


@pytest.mark.parametrize("name", ["coco_captions", "flickrstyle", "jsonl", "personality_captions"])
def test_missing_file_says_what_was_expected_found_and_how_to_cure_it(tmp_path, write, name):
    write("elsewhere.json", {})
    spec = {"type": name, "train": "train.file"}
    with pytest.raises(UsageError, match=r"(?s)train.file.*elsewhere.json.*data.root") as caught:
        READERS.build(spec, root=tmp_path).read("train")
    assert str(caught.value).count("expected") == 1


PERSONALITY = [{"personality": "Sweet", "comment": "aw", "image_hash": "h1"}]


@pytest.mark.parametrize(
    ("name", "content"), [("jsonl", '{"image": "x.jpg", "text": "aw"}\n'), ("personality_captions", PERSONALITY)]
)
def test_byte_order_mark_is_passed_over(tmp_path, write, name, content):
    content = content if isinstance(content, str) else json.dumps(content)
    write("t.json", "\ufeff" + content)
    (example,) = READERS.build({"type": name, "test": "t.json"}, root=tmp_path).read("test")
    assert example.references == ("aw",)


@pytest.mark.parametrize("name", ["jsonl", "personality_captions"])
def test_spelling_of_a_style_makes_no_second_example(tmp_path, write, name):
    said = [("a", "Old man"), ("a", "old  MAN"), ("A", "old man"), ("a", "odd")]
    rows = [{"image": i, "text": "x", "image_hash": i, "comment": "x", "style": s, "personality": s} for i, s in said]
    write("train.file", "".join(json.dumps(row) + "\n" for row in rows) if name == "jsonl" else rows)
    examples = READERS.build({"type": name, "train": "train.file"}, root=tmp_path).read("train")
    found = [(e.id, e.style, len(e.references)) for e in examples]
    assert found == [("a#Old man", "Old man", 2), ("A#old man", "old man", 1), ("a#odd", "odd", 1)]


def test_real_files(shared):
    styled = READERS.build({"type": "flickrstyle"}, root=shared / "data")
    assert {s: len(styled.read(s)) for s in styled.splits()} == {"train": 10800, "val": 600, "test": 1400}
    spec = {"type": "jsonl", "images": "flickr8k/images"} | {
        s: f"flickr8k/captions_{s}.jsonl" for s in ("train", "val")
    }
    plain = READERS.build(spec, root=shared / "data").read("train[-100:]+val[:100]")
    assert len(plain) == 200
    assert all(len(e.references) == 5 for e in plain)
