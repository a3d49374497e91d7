"""FlickrStyle10K as given out: lines beside names in pickles of plain data, texts of Windows."""

import os
import pickle

import pytest
from ofakit.data.readers import READERS
from ofakit.errors import UsageError


@pytest.fixture
def folder(tmp_path):
    for style, name, text in (("humor", "funny", b"one\ntwo\n"), ("romantic", "romantic", b"three \x97 four\r\nfive")):
        (tmp_path / style).mkdir()
        (tmp_path / style / f"{name}_train.txt").write_bytes(text)
        (tmp_path / style / "train.p").write_bytes(pickle.dumps(["data/a.jpg", "data/b.jpg"], protocol=0))
    return tmp_path


def read(folder):
    return READERS.build({"type": "flickrstyle_released"}, root=folder).read("train[:1]")


def test_lines_go_with_names_and_a_slice_takes_an_image_whole(folder):
    assert [(e.id, e.image, e.style, e.references) for e in read(folder)] == [
        ("a.jpg#humorous", str(folder / "images" / "a.jpg"), "humorous", ("one",)),
        ("a.jpg#romantic", str(folder / "images" / "a.jpg"), "romantic", ("three \u2014 four",)),
    ]


def test_as_many_names_as_lines_are_expected(folder):
    (folder / "humor" / "funny_train.txt").write_bytes(b"one\n")
    with pytest.raises(UsageError, match="expected as many captions .* found 1 and 2"):
        read(folder)


@pytest.mark.parametrize("content", [{"a": 1}, [1, 2], os.system])
def test_anything_but_a_list_of_names_is_refused(folder, content):
    (folder / "humor" / "train.p").write_bytes(pickle.dumps(content))
    with pytest.raises(UsageError, match="expected a list of names|plain data"):
        read(folder)
