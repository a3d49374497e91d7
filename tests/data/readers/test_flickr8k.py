"""Flickr8k as it is given out: captions by image, and lists of the images of each split."""

import pytest
from ofakit.data.readers import READERS
from ofakit.errors import UsageError

TOKENS = "a.jpg#0\tA dog .\na.jpg#1\tThe dog .\nb.jpg#0\tA cat .\nc#d.jpg#0\tA bird .\n"


def reader(tmp_path, **lists):
    (tmp_path / "Flickr8k.token.txt").write_text(TOKENS)
    for name, text in lists.items():
        (tmp_path / name).write_text(text)
    return READERS.build({"type": "flickr8k", **{split: lists and split for split in ("train", "val")}, "test": None},
                         root=tmp_path)  # fmt: skip


def test_a_split_has_the_images_of_its_list(tmp_path):
    found = reader(tmp_path, train="a.jpg\nc#d.jpg\n", val="b.jpg\r\n")
    assert found.splits() == ["train", "val"]
    assert [(e.id, e.image, e.references) for e in found.read("train")] == [
        ("a.jpg", str(tmp_path / "Flicker8k_Dataset" / "a.jpg"), ("A dog .", "The dog .")),
        ("c#d.jpg", str(tmp_path / "Flicker8k_Dataset" / "c#d.jpg"), ("A bird .",)),
    ]
    assert [e.id for e in found.read("val")] == ["b.jpg"]


def test_without_lists_every_image_is_for_training(tmp_path):
    (tmp_path / "Flickr8k.token.txt").write_text(TOKENS)
    found = READERS.build({"type": "flickr8k", "train": None, "val": None, "test": None}, root=tmp_path)
    assert found.splits() == ["train"] and len(found.read("train")) == 3


def test_faults_are_named(tmp_path):
    with pytest.raises(UsageError, match="lists 1 images without captions in .*, such as 'z.jpg'"):
        reader(tmp_path, train="z.jpg", val="").read("train")
    (tmp_path / "Flickr8k.token.txt").write_text("image,caption\n")
    with pytest.raises(UsageError, match="line 1, found 'image,caption'; for a file with commas, use .* 'csv'"):
        READERS.build({"type": "flickr8k", "train": None, "val": None, "test": None}, root=tmp_path).read("train")
