"""JSON lines: captions in any of the usual columns, ids and styles where there are some."""

import pytest
from ofakit.data import READERS
from ofakit.data.region_texts import RegionText
from ofakit.errors import UsageError


@pytest.mark.parametrize(
    ("row", "references"),
    [
        ({"text": "a"}, ("a",)),
        ({"caption": "a", "other": 1}, ("a",)),
        ({"captions": ["a", "b"]}, ("a", "b")),
        ({"references": ["a"], "style": "dry"}, ("a",)),
        ({"captions": [None, "b"]}, ("", "b")),
        ({"captions": []}, ()),
        ({}, ()),
    ],
)
def test_jsonl_finds_captions(tmp_path, write, row, references):
    write("t.jsonl", {"image": "x.jpg", **row})
    (example,) = READERS.build({"type": "jsonl", "test": "t.jsonl"}, root=tmp_path).read("test")
    assert example.references == references
    assert example.style == row.get("style")


def test_jsonl_columns_ids_styles_and_no_image(tmp_path, write):
    rows = [{"file": "x.jpg", "say": "a", "mood": "dry"}, {"file": "x.jpg", "say": "b", "mood": "dry"}, {"say": "c"}]
    write("t.jsonl", *rows)
    spec = {"type": "jsonl", "splits": {"odd": "t.jsonl"}, "image_column": "file", "text_column": "say"}
    spec |= {"style_column": "mood", "style": "plain"}
    reader = READERS.build(spec, root=tmp_path)
    assert reader.splits() == ["odd"]
    first, second = reader.read("odd")
    assert (first.references, first.style) == (("a", "b"), "dry")
    assert (second.image, second.style, second.references) == (None, "plain", ("c",))
    write("t.jsonl", *({"image": "x", "text": "a", "id": own} for own in (1, 2, None)))
    examples = READERS.build({"type": "jsonl", "val": "t.jsonl"}, root=tmp_path).read("val")
    assert [e.id for e in examples] == ["1", "2", "x"]


def test_an_example_is_named_by_its_image_or_first_caption_and_its_style(tmp_path, write):
    rows = [{"image": "x.jpg", "text": "a", "style": "dry"}, {"text": "a", "style": "dry"}, {"captions": ["b", "c"]}]
    write("t.jsonl", *rows)
    examples = READERS.build({"type": "jsonl", "val": "t.jsonl", "images": "photos"}, root=tmp_path).read("val")
    assert [e.id for e in examples] == ["x.jpg#dry", "a#dry", "b"]
    assert [e.image for e in examples] == [str(tmp_path / "photos/x.jpg"), None, None]


def test_jsonl_without_a_split_is_refused():
    with pytest.raises(UsageError, match="at least one split"):
        READERS.build({"type": "jsonl"})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"image": "a"}\n{"image": ', "line 2"),
        ("[1, 2]\n", "expected JSON objects in the list in .*train.file, but row 1 is 1"),
        ('[{"image": "a"}', "expected captions of split 'train' as UTF-8 JSON in .*train.file"),
        ('{"caption": 3, "image": "a"}', "expected captions as text"),
        ('{"caption": "x", "image": 3}', "expected a file name"),
        ('{"image": "a", "caption": "x", "style": 0}', "row 1 .*expected a style as text .*column 'style'"),
        ('{"image": "a", "caption": "x", "id": [1]}', "row 1 .*expected an id as text .*column 'id'"),
        ('{"pixels": "a"}', "expected the column 'image'"),
        ('{"image": null}', "row 1 .*expected an image or captions in .*train.file, found .*'image': None"),
        ('{"captions": []}', "row 1 .*expected an image or captions in .*train.file, found .*'captions': "),
    ],
)
def test_broken_rows_are_named(tmp_path, write, content, message):
    write("train.file", content)
    with pytest.raises(UsageError, match=message):
        READERS.build({"type": "jsonl", "train": "train.file"}, root=tmp_path).read("train")


def test_text_that_is_not_utf8_is_named(tmp_path):
    (tmp_path / "t.jsonl").write_bytes(b'{"image": "\x80"}\n')
    with pytest.raises(UsageError, match="UTF-8"):
        READERS.build({"type": "jsonl", "train": "t.jsonl"}, root=tmp_path).read("train")


def test_captions_of_one_image_id_keep_their_styles(tmp_path, write):
    rows = [(i, image, style) for i, image in enumerate(("red.jpg", "blue.jpg")) for style in ("happy", "gloomy")]
    write("t.jsonl", *({"image_id": i, "image": im, "style": s, "caption": f"{s} {im}"} for i, im, s in rows))
    spec = {"type": "jsonl", "train": "t.jsonl", "id_column": "image_id"}
    examples = READERS.build(spec, root=tmp_path).read("train")
    assert [(e.id, e.style, e.references) for e in examples] == [
        (f"{i}#{style}", style, (f"{style} {image}",)) for i, image, style in rows
    ]


def test_one_json_list_is_read_as_lines_are(tmp_path, write):
    rows = [{"image": "a.jpg", "caption": ["x", "y"], "group": "near"}, {"image": "b.jpg", "caption": "z"}]
    write("t.json", rows)
    write("t.jsonl", *rows)
    lists, lines = (READERS.build({"type": "jsonl", "train": f"t.{kind}"}, root=tmp_path) for kind in ("json", "jsonl"))
    assert lists.read("train") == lines.read("train")
    assert [(e.references, e.group) for e in lists.read("train")] == [(("x", "y"), "near"), (("z",), None)]


def test_images_in_base64_are_written_out(tmp_path, write):
    write("t.jsonl", {"image": "/9j/", "caption": "a"}, {"image": None, "caption": "b"})
    spec = {"type": "jsonl", "train": "t.jsonl", "encoding": "base64", "unpack_to": str(tmp_path / "out")}
    one, other = READERS.build(spec, root=tmp_path).read("train")
    with open(one.image, "rb") as file:
        assert file.read() == b"\xff\xd8\xff"
    assert other.image is None
    with pytest.raises(UsageError, match="encoding: expected path or base64, found 'hex'"):
        READERS.build({**spec, "encoding": "hex"}, root=tmp_path)


def test_texts_of_regions_are_read_where_their_column_is_named(tmp_path, write):
    said = [{"text": "a ball", "box": [0, 0, 50, 20]}]
    rows = [{"image": "a.jpg", "captions": ["a dog"], "regions": said, "width": 100, "height": 40}, {"image": "b.jpg"}]
    write("train.jsonl", *rows)
    plain = {"type": "jsonl", "train": "train.jsonl"}
    named = {**plain, "regions_column": "regions"}
    first, second = READERS.build(named, root=tmp_path).read("train")
    assert first.region_texts == (RegionText("a ball", (0.0, 0.0, 0.5, 0.5)),) and second.region_texts == ()
    assert READERS.build(plain, root=tmp_path).read("train")[0].region_texts == ()
    write("train.jsonl", {"image": "a.jpg", "captions": ["a dog"], "regions": "all"})
    with pytest.raises(UsageError, match=r"row 1 of split 'train': expected a list of objects .*column 'regions'"):
        READERS.build(named, root=tmp_path).read("train")
