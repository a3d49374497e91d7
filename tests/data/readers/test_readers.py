"""Every reader gives one example a (image, style), and says what is wrong with a file."""

import json

import pytest
from ofakit.data import READERS
from ofakit.errors import UsageError


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")


def lines(*rows):
    return "\n".join(json.dumps(row) for row in rows) + "\n"


PERSONALITY = [
    {"personality": "Sweet", "comment": "aw", "image_hash": "h1"},
    {"personality": "Dry", "comment": "ok", "image_hash": "h1"},
    {"personality": "Sweet", "comment": "aww", "image_hash": "h2", "additional_comments": ["nice", "oh"]},
]
COCO = {
    "images": [{"id": 7, "file_name": "7.jpg"}, {"id": 8, "file_name": "8.jpg"}],
    "annotations": [
        {"image_id": 7, "id": 1, "caption": "a"},
        {"image_id": 8, "id": 2, "caption": "b"},
        {"image_id": 7, "id": 3, "caption": "c"},
    ],
}
KARPATHY = {
    "images": [
        {"filename": "1.jpg", "filepath": "val2014", "split": "val", "sentences": [{"raw": "x"}, {"raw": "y"}]},
        {"filename": "2.jpg", "filepath": "train2014", "split": "restval", "sentences": [{"raw": "z"}]},
    ]
}


def test_flickrstyle(tmp_path):
    rows = [{"image": f"{i}.jpg", "humorous": f"h{i}", "romantic": f"r{i}"} for i in range(4)]
    write(tmp_path / "flickrstyle/train.jsonl", lines(*rows))
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


def test_personality_captions(tmp_path):
    write(tmp_path / "train.json", PERSONALITY)
    examples = READERS.build({"type": "personality_captions"}, root=tmp_path).read("train")
    assert [(e.id, e.style, e.references) for e in examples] == [
        ("h1#Sweet", "Sweet", ("aw",)),
        ("h1#Dry", "Dry", ("ok",)),
        ("h2#Sweet", "Sweet", ("aww", "nice", "oh")),
    ]
    assert examples[0].image == str(tmp_path / "images/h1.jpg")


def test_coco_official(tmp_path):
    write(tmp_path / "annotations/captions_val2017.json", COCO)
    reader = READERS.build({"type": "coco_captions"}, root=tmp_path)
    examples = reader.read("val")
    assert [(e.id, e.references) for e in examples] == [("7.jpg", ("a", "c")), ("8.jpg", ("b",))]
    assert examples[0].image == str(tmp_path / "val2017/7.jpg")
    reader = READERS.build({"type": "coco_captions", "images": "photos"}, root=tmp_path)
    assert reader.read("val")[0].image == str(tmp_path / "photos/7.jpg")


def test_coco_karpathy(tmp_path):
    write(tmp_path / "dataset_coco.json", KARPATHY)
    reader = READERS.build({"type": "coco_captions", "karpathy": "dataset_coco.json"}, root=tmp_path)
    assert [e.references for e in reader.read("val")] == [("x", "y")]
    assert [e.id for e in reader.read("train+restval")] == ["train2014/2.jpg"]
    assert reader.read("val")[0].image == str(tmp_path / "val2014/1.jpg")


@pytest.mark.parametrize(
    ("row", "references"),
    [
        ({"text": "a"}, ("a",)),
        ({"caption": "a", "other": 1}, ("a",)),
        ({"captions": ["a", "b"]}, ("a", "b")),
        ({"references": ["a"], "style": "dry"}, ("a",)),
        ({"captions": [None, "b"]}, ("", "b")),
        ({}, ()),
    ],
)
def test_jsonl_finds_captions(tmp_path, row, references):
    write(tmp_path / "t.jsonl", lines({"image": "x.jpg", **row}))
    (example,) = READERS.build({"type": "jsonl", "test": "t.jsonl"}, root=tmp_path).read("test")
    assert example.references == references
    assert example.style == row.get("style")


def test_jsonl_columns_ids_styles_and_no_image(tmp_path):
    rows = [{"file": "x.jpg", "say": "a", "mood": "dry"}, {"file": "x.jpg", "say": "b", "mood": "dry"}, {"say": "c"}]
    write(tmp_path / "t.jsonl", lines(*rows))
    spec = {"type": "jsonl", "splits": {"odd": "t.jsonl"}, "image_column": "file", "text_column": "say"}
    spec |= {"style_column": "mood", "style": "plain"}
    reader = READERS.build(spec, root=tmp_path)
    assert reader.splits() == ["odd"]
    first, second = reader.read("odd")
    assert (first.references, first.style) == (("a", "b"), "dry")
    assert (second.image, second.style, second.references) == (None, "plain", ("c",))
    write(tmp_path / "t.jsonl", lines(*({"image": "x", "text": "a", "id": own} for own in (1, 2, None))))
    examples = READERS.build({"type": "jsonl", "val": "t.jsonl"}, root=tmp_path).read("val")
    assert [e.id for e in examples] == ["1", "2", "x"]


@pytest.mark.parametrize(
    ("name", "content"), [("jsonl", lines({"image": "x.jpg", "text": "aw"})), ("personality_captions", PERSONALITY[:1])]
)
def test_byte_order_mark_is_passed_over(tmp_path, name, content):
    content = content if isinstance(content, str) else json.dumps(content)
    write(tmp_path / "t.json", "\ufeff" + content)
    (example,) = READERS.build({"type": name, "test": "t.json"}, root=tmp_path).read("test")
    assert example.references == ("aw",)


@pytest.mark.parametrize("name", ["jsonl", "personality_captions"])
def test_spelling_of_a_style_makes_no_second_example(tmp_path, name):
    said = [("a", "Old man"), ("a", "old  MAN"), ("A", "old man"), ("a", "odd")]
    rows = [{"image": i, "text": "x", "image_hash": i, "comment": "x", "style": s, "personality": s} for i, s in said]
    write(tmp_path / "train.file", lines(*rows) if name == "jsonl" else rows)
    examples = READERS.build({"type": name, "train": "train.file"}, root=tmp_path).read("train")
    found = [(e.id, e.style, len(e.references)) for e in examples]
    assert found == [("a#Old man", "Old man", 2), ("A#old man", "old man", 1), ("a#odd", "odd", 1)]


def test_jsonl_without_a_split_is_refused():
    with pytest.raises(UsageError, match="at least one split"):
        READERS.build({"type": "jsonl"})


@pytest.mark.parametrize("name", ["coco_captions", "flickrstyle", "jsonl", "personality_captions"])
def test_missing_file_says_what_was_expected_found_and_how_to_cure_it(tmp_path, name):
    write(tmp_path / "elsewhere.json", "{}")
    spec = {"type": name, "train": "train.file"}
    with pytest.raises(UsageError, match=r"(?s)train.file.*elsewhere.json.*data.root") as caught:
        READERS.build(spec, root=tmp_path).read("train")
    assert str(caught.value).count("expected") == 1


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("jsonl", '{"image": "a"}\n{"image": ', "line 2"),
        ("jsonl", "[1, 2]\n", "line 1"),
        ("jsonl", '{"caption": 3, "image": "a"}', "expected captions as text"),
        ("jsonl", '{"caption": "x", "image": 3}', "expected a file name"),
        ("jsonl", '{"image": "a", "caption": "x", "style": 0}', "row 1 .*expected a style as text .*column 'style'"),
        ("jsonl", '{"image": "a", "caption": "x", "id": [1]}', "row 1 .*expected an id as text .*column 'id'"),
        ("jsonl", '{"pixels": "a"}', "expected the column 'image'"),
        ("flickrstyle", '{"image": "a", "humorous": "x"}', "expected the column 'romantic'"),
        ("flickrstyle", '{"imag": "a"}', "did you mean 'imag'"),
        ("flickrstyle", '{"image": null}', "expected a file name as text .*column 'image', found null"),
        (
            "personality_captions",
            '[{"personality": 1, "comment": "x", "image_hash": "h"}]',
            "row 1 .*expected a style as text .*train.file, column 'personality', found 1",
        ),
        (
            "personality_captions",
            '[{"personality": "Dry", "comment": "x", "image_hash": null}]',
            "column 'image_hash', found null",
        ),
        ("personality_captions", "{}", "expected a JSON list"),
        ("personality_captions", "[", "expected rows of split"),
        ("personality_captions", "[3]", "expected JSON objects"),
        ("coco_captions", '{"images": []}', "expected the column 'annotations'"),
        ("coco_captions", '{"images": null}', "expected a list in .*column 'images', found 'None'"),
        ("coco_captions", '{"images": ["a.jpg"]}', r"expected a JSON object in .*images\[0\], found 'a.jpg'"),
        (
            "coco_captions",
            '{"images": [], "annotations": [{"image": 7, "caption": "x"}]}',
            r"expected the column 'image_id' in .*annotations\[0\]: did you mean 'image'",
        ),
        (
            "coco_captions",
            '{"images": [{"file_name": "7.jpg"}], "annotations": []}',
            r"expected the column 'id' in .*images\[0\]",
        ),
        (
            "coco_captions",
            '{"images": [{"filename": "1", "split": "train"}, {"filename": "2", "sentences": []}]}',
            r"expected the column 'sentences' in .*images\[0\]",
        ),
        (
            "coco_captions",
            '{"images": [{"filename": "1", "split": "train", "sentences": [{"tokens": []}]}]}',
            r"expected the column 'raw' in .*images\[0\], sentences\[0\]",
        ),
    ],
)
def test_broken_rows_are_named(tmp_path, name, content, message):
    write(tmp_path / "train.file", content)
    with pytest.raises(UsageError, match=message):
        READERS.build({"type": name, "train": "train.file"}, root=tmp_path).read("train")


def test_text_that_is_not_utf8_is_named(tmp_path):
    (tmp_path / "t.jsonl").write_bytes(b'{"image": "\x80"}\n')
    with pytest.raises(UsageError, match="UTF-8"):
        READERS.build({"type": "jsonl", "train": "t.jsonl"}, root=tmp_path).read("train")


def test_a_typo_in_a_reader_names_the_nearest_key():
    with pytest.raises(UsageError, match="did you mean 'images'"):
        READERS.build({"type": "flickrstyle", "image": "x"}, root=".")


@pytest.mark.parametrize("name", READERS.names())
def test_every_reader_has_the_two_verbs(name):
    reader = READERS.get(name)
    assert callable(reader.splits)
    assert callable(reader.read)


def test_real_files(shared):
    styled = READERS.build({"type": "flickrstyle"}, root=shared / "data")
    assert {s: len(styled.read(s)) for s in styled.splits()} == {"train": 10800, "val": 600, "test": 1400}
    spec = {"type": "jsonl", "images": "flickr8k/images"} | {
        s: f"flickr8k/captions_{s}.jsonl" for s in ("train", "val")
    }
    plain = READERS.build(spec, root=shared / "data").read("train[-100:]+val[:100]")
    assert len(plain) == 200
    assert all(len(e.references) == 5 for e in plain)


def test_joined_readers_share_splits(tmp_path):
    rows = [{"image": f"{i}.jpg", "humorous": f"h{i}", "romantic": f"r{i}"} for i in range(4)]
    for split in ("train", "val"):
        write(tmp_path / f"flickrstyle/{split}.jsonl", lines(*rows))
    write(tmp_path / "facts.jsonl", lines(*({"image": f"{i}.jpg", "captions": ["f", "g"]} for i in range(6))))
    facts = {"type": "jsonl", "train": "facts.jsonl", "images": "flickr8k/images", "style": "factual"}
    reader = READERS.build({"type": "joined", "readers": [facts, {"type": "flickrstyle"}]}, root=tmp_path)
    assert reader.splits() == ["train", "val", "test"]
    examples = reader.read("train[:50%]")
    assert [e.style for e in examples] == ["factual"] * 3 + ["humorous", "romantic"] * 2
    assert {e.image for e in examples} == {str(tmp_path / f"flickr8k/images/{i}.jpg") for i in range(3)}
    assert {e.style for e in reader.read("val[-1:]")} == {"humorous", "romantic"}
    with pytest.raises(UsageError, match="id '0.jpg#humorous'"):
        reader.read("train+val[:1]")
    capitals = {**facts, "style": "Humorous"}
    reader = READERS.build({"type": "joined", "readers": [capitals, {"type": "flickrstyle"}]}, root=tmp_path)
    with pytest.raises(UsageError, match="id '0.jpg#humorous'"):
        reader.read("train")


def test_joined_readers_refuse_equal_ids_and_wrong_readers(tmp_path):
    write(tmp_path / "facts.jsonl", lines({"image": "0.jpg", "captions": ["f"]}))
    facts = {"type": "jsonl", "train": "facts.jsonl"}
    with pytest.raises(UsageError, match="id '0.jpg'.*give the examples of one reader a style"):
        READERS.build({"type": "joined", "readers": [facts, facts]}, root=tmp_path).read("train")
    with pytest.raises(UsageError, match="did you mean 'jsonl'"):
        READERS.build({"type": "joined", "readers": [{**facts, "type": "jsonlines"}]}, root=tmp_path)
    with pytest.raises(UsageError, match="at least one reader"):
        READERS.build({"type": "joined", "readers": []}, root=tmp_path)
    with pytest.raises(UsageError, match="unknown split 'tset' in 'tset': available: train"):
        READERS.build({"type": "joined", "readers": [facts]}, root=tmp_path).read("tset")
