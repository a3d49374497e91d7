"""Images inside files are written out once, each once, and rows are as they were."""

import pytest
from ofakit.data.readers._unpacked import from_base64, unpacked_rows

IMAGES = [b"\xff\xd8\xffone", b"\x89PNGtwo", b"\xff\xd8\xffone", None]


def rows():
    return [({"id": k} if image else {"id": k, "image": "own.jpg"}, image) for k, image in enumerate(IMAGES)]


@pytest.fixture
def packed(tmp_path):
    path = tmp_path / "a.tsv"
    path.write_bytes(b"content")
    return path


def test_an_image_that_rows_share_is_one_file(packed, tmp_path):
    found = unpacked_rows([packed], tmp_path / "out", rows)
    assert [row["id"] for row in found] == [0, 1, 2, 3]
    assert found[0]["image"] == found[2]["image"] != found[1]["image"] and found[3]["image"] == "own.jpg"
    for row, image in zip(found[:3], IMAGES, strict=False):
        with open(row["image"], "rb") as file:
            assert file.read() == image
    assert sorted(path.suffix for path in (tmp_path / "out" / "images").rglob("*.*")) == [".jpg", ".png"]


def test_files_are_unpacked_once_and_again_where_something_is_different(packed, tmp_path):
    looked = []

    def counted():
        looked.append(1)
        return rows()

    first = unpacked_rows([packed], tmp_path / "out", counted)
    assert unpacked_rows([packed], tmp_path / "out", counted) == first and len(looked) == 1
    unpacked_rows([packed], tmp_path / "out", counted, {"column": "caption"})
    packed.write_bytes(b"other content")
    unpacked_rows([packed], tmp_path / "out", counted)
    assert len(looked) == 3


def test_an_error_on_the_way_leaves_no_rows(packed, tmp_path):
    def broken():
        yield rows()[0]
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError):
        unpacked_rows([packed], tmp_path / "out", broken)
    assert len(unpacked_rows([packed], tmp_path / "out", rows)) == 4


def test_what_is_no_base64_becomes_a_bad_image():
    assert from_base64("not base64!") == b"not base64!"
    assert from_base64(" _9j_\n") == from_base64("/9j/") == b"\xff\xd8\xff"
