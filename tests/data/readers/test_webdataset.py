"""Tar archives of WebDataset: files of one name are a row; nothing is written under a name from the archive."""

import io
import json
import tarfile

import pytest
from ofakit.data.readers import READERS
from ofakit.errors import UsageError
from PIL import Image


def jpeg(colour):
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), colour).save(buffer, "JPEG")
    return buffer.getvalue()


def read(tmp_path, members, **settings):
    with tarfile.open(tmp_path / "0.tar", "w") as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    spec = {"type": "webdataset", "train": "{0..0}.tar", "unpack_to": str(tmp_path / "out"), **settings}
    return READERS.build(spec, root=tmp_path).read("train")


def test_files_of_one_name_are_a_row(tmp_path):
    members = [
        ("a/0.jpg", jpeg("red")), ("a/0.txt", b"a dog\n"), ("a/0.json", json.dumps({"style": "dry", "w": 8}).encode()),
        ("a/1.JPG", jpeg("blue")), ("a/1.json", json.dumps({"caption": "a cat", "id": "mine"}).encode()),
        ("../../b.jpg", jpeg("blue")), ("../../b.txt", b"a car"),
    ]  # fmt: skip
    found = read(tmp_path, members)
    assert [(e.id, e.style, e.references) for e in found] == [
        ("a/0", "dry", ("a dog",)), ("mine", None, ("a cat",)), ("../../b", None, ("a car",)),
    ]  # fmt: skip
    assert found[1].image == found[2].image and all(str(tmp_path / "out") in e.image for e in found)
    assert Image.open(found[0].image).getpixel((0, 0))[0] > 200


def test_faults_are_named(tmp_path):
    with pytest.raises(UsageError, match="for the image '0' in .*0.tar"):
        read(tmp_path, [("0.jpg", jpeg("red")), ("0.json", b"{")])
    (tmp_path / "0.tar").write_bytes(b"no archive" * 100)
    with pytest.raises(UsageError, match="expected a tar archive in .*0.tar"):
        READERS.build({"type": "webdataset", "train": "0.tar", "unpack_to": str(tmp_path)}, root=tmp_path).read("train")


@pytest.mark.parametrize("size", [2**40, 2**60, 2**63 - 1])
def test_a_header_that_speaks_of_more_than_there_is_is_refused(tmp_path, size):
    info = tarfile.TarInfo("a.jpg")
    info.size = size
    (tmp_path / "0.tar").write_bytes(info.tobuf(tarfile.GNU_FORMAT) + bytes(2048))
    with pytest.raises(UsageError, match=f"found a.jpg of {size} bytes"):
        READERS.build({"type": "webdataset", "train": "0.tar", "unpack_to": str(tmp_path)}, root=tmp_path).read("train")
