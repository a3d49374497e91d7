"""COCO captions: the official files and Karpathy's split."""

import pytest
from ofakit.data import READERS
from ofakit.errors import UsageError

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


def test_coco_official(tmp_path, write):
    write("annotations/captions_val2017.json", COCO)
    reader = READERS.build({"type": "coco_captions"}, root=tmp_path)
    examples = reader.read("val")
    assert [(e.id, e.references) for e in examples] == [("7.jpg", ("a", "c")), ("8.jpg", ("b",))]
    assert examples[0].image == str(tmp_path / "val2017/7.jpg")
    reader = READERS.build({"type": "coco_captions", "images": "photos"}, root=tmp_path)
    assert reader.read("val")[0].image == str(tmp_path / "photos/7.jpg")


def test_folders_can_differ_by_split_and_all_captions_have_one_style(tmp_path, write):
    write("more.json", COCO)
    spec = {"type": "coco_captions", "splits": {"more": "more.json", "other": "more.json"}, "style": "factual"}
    reader = READERS.build({**spec, "images": {"more": "photos"}}, root=tmp_path)
    assert reader.splits() == ["train", "val", "more", "other"]
    assert reader.read("more")[0].image == str(tmp_path / "photos/7.jpg")
    assert reader.read("other")[0].image == str(tmp_path / "7.jpg")
    assert {e.style for e in reader.read("more")} == {"factual"}


def test_an_image_without_a_caption_stays_and_ids_may_be_text_in_one_list(tmp_path, write):
    annotations = [{"image_id": "7", "caption": "a"}]
    write("annotations/captions_val2017.json", {**COCO, "annotations": annotations})
    examples = READERS.build({"type": "coco_captions"}, root=tmp_path).read("val")
    assert [(e.id, e.references) for e in examples] == [("7.jpg", ("a",)), ("8.jpg", ())]


def test_coco_karpathy(tmp_path, write):
    write("dataset_coco.json", KARPATHY)
    reader = READERS.build({"type": "coco_captions", "karpathy": "dataset_coco.json"}, root=tmp_path)
    assert reader.splits() == ["restval", "val"], "what the file has"
    assert [e.references for e in reader.read("val")] == [("x", "y")]
    assert [e.id for e in reader.read("restval[:]")] == ["train2014/2.jpg"]
    assert reader.read("val")[0].image == str(tmp_path / "val2014/1.jpg")
    with pytest.raises(UsageError, match="unknown split 'train'"):
        reader.read("train+restval")


def test_captions_of_one_image_keep_their_styles(tmp_path, write):
    said = [("one", "dry"), ("two", None), ("three", "dry")]
    annotations = [{"image_id": 1, "caption": text, "style": style} for text, style in said]
    write("a.json", {"images": [{"id": 1, "file_name": "1.jpg"}], "annotations": annotations})
    found = READERS.build({"type": "coco_captions", "train": "a.json", "style": "plain"}, root=tmp_path).read("train")
    assert [(e.id, e.style, e.references) for e in found] == [
        ("1.jpg#dry", "dry", ("one", "three")), ("1.jpg#plain", "plain", ("two",)),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"images": []}', "expected the column 'annotations'"),
        ('{"images": null}', "expected a list in .*column 'images', found 'None'"),
        ('{"images": ["a.jpg"]}', r"expected a JSON object in .*images\[0\], found 'a.jpg'"),
        (
            '{"images": [], "annotations": [{"image": 7, "caption": "x"}]}',
            r"expected the column 'image_id' in .*annotations\[0\]: did you mean 'image'",
        ),
        ('{"images": [{"file_name": "7.jpg"}], "annotations": []}', r"expected the column 'id' in .*images\[0\]"),
        (
            '{"images": [{"filename": "1", "split": "train"}, {"filename": "2", "sentences": []}]}',
            r"expected the column 'sentences' in .*images\[0\]",
        ),
        (
            '{"images": [{"filename": "1", "split": "train", "sentences": [{"tokens": []}]}]}',
            r"expected the column 'raw' in .*images\[0\], sentences\[0\]",
        ),
    ],
)
def test_broken_rows_are_named(tmp_path, write, content, message):
    write("train.file", content)
    with pytest.raises(UsageError, match=message):
        READERS.build({"type": "coco_captions", "train": "train.file"}, root=tmp_path).read("train")
